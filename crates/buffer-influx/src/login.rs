//! How a request says who asks; secrets show in no output.

use std::fmt;

use reqwest::header::{AUTHORIZATION, HeaderValue, InvalidHeaderValue};
use reqwest::{RequestBuilder, Url};

/// A login. Its `Debug` names its kind alone.
#[derive(Clone, Default)]
pub(crate) enum Login {
    #[default]
    None,
    Basic {
        user: String,
        password: String,
    },
    /// In the URL, for what stands between and takes nothing else.
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
    /// A token that a header can't carry shows when the client is built and not at every request.
    pub(crate) fn check(&self) -> Result<(), InvalidHeaderValue> {
        match self {
            Self::Token { scheme, token } => header(scheme, token).map(drop),
            Self::None | Self::Basic { .. } | Self::Parameters { .. } => Ok(()),
        }
    }

    pub(crate) fn add_to_url(&self, url: &mut Url) {
        if let Self::Parameters { user, password } = self {
            url.query_pairs_mut()
                .append_pair("u", user)
                .append_pair("p", password);
        }
    }

    /// Takes the password out of a text that repeats the URL.
    pub(crate) fn remove_from(&self, text: &mut String) {
        let Self::Parameters { password, .. } = self else {
            return;
        };
        let mut url = Url::parse("http://localhost").expect("a URL");
        url.query_pairs_mut().append_pair("p", password);
        for parameter in [url.query().unwrap_or_default(), &format!("p={password}")] {
            if text.contains(parameter) {
                *text = text.replace(parameter, "p=***");
            }
        }
    }

    pub(crate) fn add_to(&self, request: RequestBuilder) -> RequestBuilder {
        match self {
            Self::None | Self::Parameters { .. } => request,
            Self::Basic { user, password } => request.basic_auth(user, Some(password)),
            Self::Token { scheme, token } => match header(scheme, token) {
                Ok(header) => request.header(AUTHORIZATION, header),
                Err(_) => unreachable!("checked when the client was built"),
            },
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
    fn a_token_that_no_header_can_carry_is_found() {
        let login = Login::Token {
            scheme: "Bearer",
            token: "a\nb".to_owned(),
        };
        assert!(login.check().is_err());
    }
}
