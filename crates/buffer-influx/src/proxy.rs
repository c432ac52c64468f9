//! Which proxies the client can use.

use reqwest::Url;

/// The URL of a proxy, if requests would go through it. What has no scheme is read as `http`, as other programs do.
///
/// The HTTP library reads it once more, and where it can't it says nothing and sends the request, with its login, to the server
/// directly. So it gets neither another scheme nor a host with the characters of a template that was not filled in.
pub(crate) fn checked(url: &str) -> Option<Url> {
    let url = match url.contains("://") {
        true => Url::parse(url),
        false => Url::parse(&format!("http://{url}")),
    };
    let url = url.ok()?;
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
    let can_be_used = matches!(url.scheme(), "http" | "https") && url.host_str()?.bytes().all(is_host);
    can_be_used.then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// It has failed on URLs that the HTTP library was left to judge.
    #[test]
    fn a_proxy_that_the_http_library_would_pass_over_is_refused() {
        for url in [
            "",
            "http://",
            "http://[",
            "htttp://localhost:3128",
            "ftp://localhost:3128",
            "socks5://localhost:1080",
            "socks5h://localhost:1080",
            "http://${PROXY}:3128",
            "http://{{ proxy }}:3128",
            "http://\"localhost\":3128",
        ] {
            assert_eq!(checked(url), None, "{url}");
        }
        for (url, read) in [
            ("http://localhost:3128", "http://localhost:3128/"),
            ("HTTPS://user:secret@proxy", "https://user:secret@proxy/"),
            ("localhost:3128", "http://localhost:3128/"),
            ("user:secret@proxy:3128", "http://user:secret@proxy:3128/"),
            ("[::1]:3128", "http://[::1]:3128/"),
            ("10.0.0.1", "http://10.0.0.1/"),
        ] {
            assert_eq!(checked(url).as_ref().map(Url::as_str), Some(read), "{url}");
        }
    }
}
