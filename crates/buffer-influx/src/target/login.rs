//! How a request identifies its sender; secrets show in no output.

use std::fmt;

use base64::prelude::{BASE64_STANDARD as BASE64, Engine as _};
use reqwest::header::{AUTHORIZATION, HeaderValue, InvalidHeaderValue};
use reqwest::{RequestBuilder, Url};

/// A login. Its `Debug` names only its kind.
#[derive(Clone, Default)]
pub(crate) enum Login {
    #[default]
    None,
    Basic {
        user: String,
        password: String,
    },
    /// In the URL, for something in between that takes nothing else.
    Parameters {
        user: String,
        password: String,
    },
    Token {
        scheme: &'static str,
        token: String,
    },
}

impl Login {
    /// What no server can take shows when the client is built, not at every request.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        match self {
            Self::Token { token, .. } if token.is_empty() => {
                Err("token is empty; set the server's, or none for a server without authentication")
            }
            Self::Token { scheme, token }
                if token.contains(char::is_whitespace) || header(scheme, token).is_err() =>
            {
                Err(
                    "token holds a space, a line break or another character that none has; check how it was read",
                )
            }
            // RFC 7617, 2: what follows the first colon is the password.
            Self::Basic { user, .. } if user.contains(':') => Err(
                "user holds a colon, which ends the user in a header; use `query_auth`, or a user without one",
            ),
            Self::Token { .. } | Self::None | Self::Basic { .. } | Self::Parameters { .. } => Ok(()),
        }
    }

    pub(crate) fn add_to_url(&self, url: &mut Url) {
        if let Self::Parameters { user, password } = self {
            url.query_pairs_mut()
                .append_pair("u", user)
                .append_pair("p", password);
        }
    }

    /// The scheme and the credentials of the header, if the login is one.
    fn authorization(&self) -> Option<(&'static str, String)> {
        match self {
            Self::None | Self::Parameters { .. } => None,
            // RFC 7617, 2.
            Self::Basic { user, password } => Some(("Basic", BASE64.encode(format!("{user}:{password}")))),
            Self::Token { scheme, token } => Some((scheme, token.clone())),
        }
    }

    /// Takes the secrets out of a text that repeats the request.
    pub(crate) fn remove_from(&self, text: &mut String) {
        // Most answers to a write.
        if text.is_empty() {
            return;
        }
        if let Self::Parameters { password, .. } = self {
            remove_parameter(password, text);
        }
        if let Some((scheme, credentials)) = self.authorization() {
            remove_credentials(scheme, &credentials, text);
        }
    }

    pub(crate) fn add_to(&self, request: RequestBuilder) -> RequestBuilder {
        let Some((scheme, credentials)) = self.authorization() else {
            return request;
        };
        match header(scheme, &credentials) {
            Ok(header) => request.header(AUTHORIZATION, header),
            Err(_) => unreachable!("checked when the client was built"),
        }
    }
}

/// Takes the password out of a text that repeats the URL.
///
/// It follows the user there, so it stands behind a `&`, or an escaped one: `&amp;`, `\u0026`, `%26`. Elsewhere `p=` belongs to a
/// line that the server names, and that is found by its text.
fn remove_parameter(password: &str, text: &mut String) {
    // An empty one is no secret, and stands everywhere.
    if password.is_empty() {
        return;
    }
    let value = encoded(password);
    // The URL as a parameter of another, such as of the page for a login.
    let twice = encoded(&value);
    for value in [
        &*value,
        &with_small_digits(&value),
        &value.replace('+', "%20"),
        password,
        &twice,
        &with_small_digits(&twice),
        &twice.replace("%2B", "%2520"),
    ] {
        if !text.contains(value) {
            continue;
        }
        for equals in [
            "=", "%3D", "%3d", "%253D", r"\u003d", r"\u003D", "&#x3D;", "&#61;",
        ] {
            for and in ["&", ";", "26", "?"] {
                let before = format!("{and}p{equals}");
                *text = text.replace(&format!("{before}{value}"), &format!("{and}p=***"));
            }
        }
        // By a server that shows what it has read.
        for before in ["\"p\":\"", "\"p\": \""] {
            *text = text.replace(&format!("{before}{value}"), &format!("{before}***"));
        }
    }
}

/// As a parameter of a URL.
fn encoded(text: &str) -> String {
    let mut url = Url::parse("http://localhost").expect("a URL");
    url.query_pairs_mut().append_key_only(text);
    url.query().unwrap_or_default().to_owned()
}

/// With `%3d` where there is `%3D`.
fn with_small_digits(encoded: &str) -> String {
    let mut parts = encoded.split('%');
    let mut shown = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (digits, rest) = part.split_at(2);
        shown += &format!("%{}{rest}", digits.to_ascii_lowercase());
    }
    shown
}

/// How credentials are written by servers that escape more than they have to, in JSON, in pages and in parameters.
const ESCAPES: [&[(char, &str)]; 26] = [
    &[],
    // In JSON, by Go as well.
    &[('\\', r"\\"), ('"', r#"\""#)],
    &[
        ('\\', r"\\"),
        ('"', r#"\""#),
        ('&', r"\u0026"),
        ('<', r"\u003c"),
        ('>', r"\u003e"),
    ],
    &[('&', "&amp;"), ('<', "&lt;"), ('>', "&gt;")],
    &[
        ('&', "&amp;"),
        ('<', "&lt;"),
        ('>', "&gt;"),
        ('"', "&quot;"),
        ('\'', "&#39;"),
    ],
    &[
        ('&', "&amp;"),
        ('<', "&lt;"),
        ('>', "&gt;"),
        ('"', "&#34;"),
        ('\'', "&#x27;"),
    ],
    &[('/', r"\/")],
    &[('=', r"\u003d")],
    &[('+', r"\u002B")],
    &[('+', "&#43;")],
    &[('+', "&#x2B;")],
    &[('/', "&#x2F;"), ('=', "&#x3D;")],
    &[('/', "&#x2F;"), ('+', "&#x2B;"), ('=', "&#x3D;")],
    &[('+', "&#43;"), ('=', "&#61;")],
    &[('/', "%252F"), ('=', "%253D"), ('+', "%252B")],
    &[('/', "%2F"), ('=', "%3D"), ('+', "%2B")],
    &[
        ('/', "%2F"),
        ('=', "%3D"),
        ('+', "%2B"),
        (':', "%3A"),
        ('&', "%26"),
    ],
    &[('/', "%2f"), ('=', "%3d"), ('+', "%2b")],
    &[
        ('/', "%2f"),
        ('=', "%3d"),
        ('+', "%2b"),
        (':', "%3a"),
        ('&', "%26"),
    ],
    &[('+', r"\u002b")],
    &[('/', "&#47;"), ('=', "&#61;"), ('+', "&#43;")],
    &[('/', "&#x2f;"), ('=', "&#x3d;"), ('+', "&#x2b;")],
    &[('/', "&sol;"), ('=', "&equals;"), ('+', "&plus;")],
    &[('/', "&#x2F;")],
    &[('/', "&#x2f;")],
    &[('/', "&#47;")],
];

/// Takes what stands behind the scheme of a header, and what is too long to be anything else, out of a text.
fn remove_credentials(scheme: &str, credentials: &str, text: &mut String) {
    /// A shorter token may be a word in a line that the server names, and that is found by its text.
    const LONG: usize = 16;
    for escapes in ESCAPES {
        let mut shown = credentials.to_owned();
        for (plain, escaped) in escapes {
            shown = shown.replace(*plain, escaped);
        }
        // It has none of these characters, and was looked for as it is.
        if !escapes.is_empty() && shown == credentials {
            continue;
        }
        let behind = format!("{scheme} {shown}");
        if text.contains(&behind) {
            *text = text.replace(&behind, &format!("{scheme} ***"));
        }
        if credentials.len() >= LONG && text.contains(&shown) {
            *text = text.replace(&shown, "***");
        }
    }
}

fn header(scheme: &str, token: &str) -> Result<HeaderValue, InvalidHeaderValue> {
    let mut header = HeaderValue::from_str(&format!("{scheme} {token}"))?;
    header.set_sensitive(true);
    Ok(header)
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Basic { .. } => "Basic(..)",
            Self::Parameters { .. } => "Parameters(..)",
            Self::Token { .. } => "Token(..)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_login_shows_its_secrets() {
        let (user, password, token) = ("hidden".to_owned(), "hidden".to_owned(), "hidden".to_owned());
        let basic = Login::Basic {
            user: user.clone(),
            password: password.clone(),
        };
        for login in [
            basic,
            Login::Parameters { user, password },
            Login::Token {
                scheme: "Token",
                token,
            },
        ] {
            assert!(!format!("{login:?}").contains("hidden"));
        }
    }

    #[test]
    fn a_password_is_taken_out_of_a_url_and_not_out_of_a_line() {
        let login = Login::Parameters {
            user: "user".to_owned(),
            password: "hid den".to_owned(),
        };
        for url in [
            "/write?u=user&p=hid+den&db=db",
            "/write?u=user&amp;p=hid+den&amp;db=db",
            "/write?u=user&#38;p=hid+den&#38;db=db",
            r"/write?u=user\u0026p=hid+den\u0026db=db",
            r"/write?u=user\x26p=hid+den\x26db=db",
            "%2Fwrite%3Fu=user%26p=hid+den%26db=db",
            "u=user&p=hid den",
            "%2Fwrite%3Fu%3Duser%26p%3Dhid%2Bden%26db%3Ddb",
            "%2fwrite%3fu%3duser%26p%3dhid%2bden%26db%3ddb",
            "/write?p=hid+den&u=user",
            "/write?u=user&p=hid%20den&db=db",
            "/write?u&#x3D;user&amp;p&#x3D;hid+den",
            r"/write?u\u003duser\u0026p\u003dhid+den",
            "%252Fwrite%253Fu%253Duser%2526p%253Dhid+den",
        ] {
            let mut text = format!("{url} or {url}");
            login.remove_from(&mut text);
            assert_eq!(text.matches("p=***").count(), 2, "{text}");
            assert!(!text.contains("hid"), "{text}");
        }
        let mut text = r#"{"args":{"p":"hid den","u":"user"}}"#.to_owned();
        login.remove_from(&mut text);
        assert!(!text.contains("hid"), "{text}");
        let none = Login::Parameters {
            user: "user".to_owned(),
            password: String::new(),
        };
        let mut text = "/write?u=user&p=&db=db".to_owned();
        none.remove_from(&mut text);
        assert_eq!(text, "/write?u=user&p=&db=db");
        let line = "m,p=hid+den,grp=hid+den p=1";
        let mut text = line.to_owned();
        login.remove_from(&mut text);
        assert_eq!(text, line);
    }

    #[test]
    fn credentials_are_taken_out_of_a_header_and_a_long_token_from_anywhere() {
        let token = |token: &str| Login::Token {
            scheme: "Token",
            token: token.to_owned(),
        };
        let basic = Login::Basic {
            user: "user".to_owned(),
            password: "hidden".to_owned(),
        };
        let long = "hidden/hidden+hidden==";
        for (login, text) in [
            (basic, "Authorization: Basic dXNlcjpoaWRkZW4="),
            (token("hidden"), r#"{"authorization":"Token hidden"}"#),
            (token(long), r#"["Token","hidden\/hidden+hidden=="]"#),
            (token(long), "no such token: hidden/hidden+hidden=="),
            (token(long), "Token hidden/hidden&#x2B;hidden=="),
            (token(long), "Token hidden&#x2F;hidden+hidden&#x3D;&#x3D;"),
            (token(long), r#""Token hidden/hidden\u002Bhidden==""#),
            (token(long), "token=hidden%2Fhidden%2Bhidden%3D%3D"),
            (token(long), "token=hidden%252Fhidden%252Bhidden%253D%253D"),
            (token(long), "Token hidden&#x2F;hidden&#x2B;hidden&#x3D;&#x3D;"),
            (token(long), "Token hidden/hidden&#43;hidden&#61;&#61;"),
            (token("user:hid&den"), "Token user:hid&amp;den"),
            (token("user:hid&den"), r"Token user:hid\u0026den"),
            (token("user:hid\"den"), r#"Token user:hid\"den"#),
            (token("user:hid&den/hidden"), "t=user%3Ahid%26den%2Fhidden"),
        ] {
            let mut cleaned = text.to_owned();
            login.remove_from(&mut cleaned);
            assert!(cleaned.contains("***"), "{cleaned}");
            assert!(!cleaned.contains("hid") && !cleaned.contains("dXN"), "{cleaned}");
        }
        // A short one may be a word in a line.
        let mut line = "unable to parse 'hidden v=': no".to_owned();
        token("hidden").remove_from(&mut line);
        assert_eq!(line, "unable to parse 'hidden v=': no");
    }

    #[test]
    fn a_login_that_no_server_can_take_is_found() {
        let token = |token: &str| Login::Token {
            scheme: "Bearer",
            token: token.to_owned(),
        };
        for wrong in ["", " ", "a b", "a\tb", "a\nb", "secret\n", "\0"] {
            assert!(token(wrong).check().is_err(), "{wrong:?}");
        }
        assert_eq!(token("user:password==").check(), Ok(()));
        let (user, password) = ("a:b".to_owned(), ":".to_owned());
        let parameters = Login::Parameters {
            user: user.clone(),
            password: password.clone(),
        };
        assert_eq!(parameters.check(), Ok(()));
        let basic = |user: String| Login::Basic {
            user,
            password: password.clone(),
        };
        assert!(basic(user).check().is_err());
        assert_eq!(basic("ab".to_owned()).check(), Ok(()));
    }
}
