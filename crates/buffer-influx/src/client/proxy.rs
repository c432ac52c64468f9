//! Which proxies the client can use, and which of them are reached over TLS.

use percent_encoding::percent_decode_str;
use reqwest::Url;

use crate::client::error::ClientError;
use crate::connections::ProxyChoice;
use crate::target::login::Login;

/// In which the HTTP library finds proxies.
const VARIABLES: [&str; 6] = [
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "ALL_PROXY",
    "all_proxy",
];

/// How the server is reached.
pub(crate) enum Proxy {
    /// What the environment names, as for other programs.
    Environment,
    None,
    Url(String),
}

impl Proxy {
    /// Whether a proxy for servers of plain HTTP may be reached over TLS; `variable` reads the environment.
    ///
    /// These are all the variables that the HTTP library reads; which of them it follows is left open.
    pub(crate) fn speaks_tls(&self, variable: impl Fn(&str) -> Option<String>) -> bool {
        match self {
            Self::Environment => ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"]
                .into_iter()
                .filter_map(variable)
                .any(|url| is_https(&url)),
            Self::None => false,
            Self::Url(url) => is_https(url),
        }
    }

    /// The logins at the proxies that may be used, each of which may repeat its own; `variable` reads the environment.
    pub(crate) fn logins(&self, variable: impl Fn(&str) -> Option<String>) -> Vec<Login> {
        match self {
            Self::Environment => VARIABLES
                .into_iter()
                .filter_map(variable)
                .flat_map(|url| [login(&url), login_up_to_first_at(&url)])
                .flatten()
                .collect(),
            Self::None => Vec::new(),
            Self::Url(url) => login(url).into_iter().collect(),
        }
    }

    pub(crate) fn choice(self) -> Result<ProxyChoice, ClientError> {
        match self {
            Self::Environment => Ok(ProxyChoice::Environment),
            Self::None => Ok(ProxyChoice::None),
            Self::Url(url) => {
                let url = checked(&url).ok_or(ClientError::InvalidProxy)?;
                let proxy = reqwest::Proxy::all(url).map_err(|_| ClientError::InvalidProxy)?;
                Ok(ProxyChoice::This(proxy.into()))
            }
        }
    }
}

/// The login in the URL of a proxy, as a URL is read.
fn login(url: &str) -> Option<Login> {
    let url = checked(url)?;
    basic(url.username(), url.password().unwrap_or_default())
}

/// The login as the HTTP library reads the environment: up to the first `@`, and in URLs that are none.
fn login_up_to_first_at(url: &str) -> Option<Login> {
    let behind_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = behind_scheme.split(['/', '?', '#']).next()?;
    let (login, _) = authority.split_once('@')?;
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    basic(user, password)
}

fn basic(user: &str, password: &str) -> Option<Login> {
    let decoded = |part: &str| percent_decode_str(part).decode_utf8_lossy().into_owned();
    let (user, password) = (decoded(user), decoded(password));
    let has_login = !user.is_empty() || !password.is_empty();
    has_login.then_some(Login::Basic { user, password })
}

fn is_https(url: &str) -> bool {
    const SCHEME: &str = "https://";
    let scheme = url.trim_start().get(..SCHEME.len());
    scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(SCHEME))
}

/// The URL of a proxy, if requests would go through it. Without a scheme it is read as `http`, as other programs do.
///
/// The HTTP library reads it again, and if it can't, it says nothing and sends the request, with its login, directly to the server.
/// So it gets neither another scheme nor a host with the characters of a template that was not filled in.
fn checked(url: &str) -> Option<Url> {
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

    /// It has failed on URLs that were left to the HTTP library to judge.
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

    #[test]
    fn the_login_of_each_proxy_that_may_be_used_is_known() {
        let cleaned = |proxy: &Proxy| {
            let logins = proxy.logins(|name| {
                let named = ["HTTPS_PROXY", "all_proxy"].contains(&name);
                named.then(|| format!("http://{name}:a%20secret@proxy"))
            });
            // `all_proxy:a secret`, `HTTPS_PROXY:a secret` and `user:a secret`.
            let mut text = "Basic YWxsX3Byb3h5OmEgc2VjcmV0, Basic SFRUUFNfUFJPWFk6YSBzZWNyZXQ=, Basic dXNlcjphIHNlY3JldA=="
                .to_owned();
            logins.iter().for_each(|login| login.remove_from(&mut text));
            text
        };
        let environment = cleaned(&Proxy::Environment);
        assert_eq!(environment, "Basic ***, Basic ***, Basic dXNlcjphIHNlY3JldA==");
        let url = cleaned(&Proxy::Url("user:a%20secret@proxy:3128".to_owned()));
        assert!(
            url.ends_with("Basic ***") && url.starts_with("Basic YWxs"),
            "{url}"
        );
        // `user:p`.
        let logins = Proxy::Environment
            .logins(|name| (name == "HTTP_PROXY").then(|| "http://user:p@ss@pro~xy:99999".to_owned()));
        let mut text = "Basic dXNlcjpw".to_owned();
        logins.iter().for_each(|login| login.remove_from(&mut text));
        assert_eq!(text, "Basic ***");
        assert_eq!(cleaned(&Proxy::None).matches("***").count(), 0);
    }

    #[test]
    fn a_proxy_that_is_reached_over_tls_is_seen() {
        let named = |name: &str, url: &str| {
            Proxy::Environment.speaks_tls(|variable| (variable == name).then(|| url.to_owned()))
        };
        for (url, expected) in [
            ("https://proxy:3128", true),
            ("HTTPS://user:secret@proxy", true),
            ("http://proxy:3128", false),
            ("proxy", false),
            ("", false),
        ] {
            for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
                assert_eq!(named(name, url), expected, "{name}={url}");
            }
            let set = Proxy::Url(url.to_owned()).speaks_tls(|_| None);
            assert_eq!(set, expected, "{url}");
        }
        assert!(
            !named("HTTPS_PROXY", "https://proxy"),
            "it is for servers of https alone"
        );
        assert!(!Proxy::None.speaks_tls(|_| Some("https://proxy".to_owned())));
    }
}
