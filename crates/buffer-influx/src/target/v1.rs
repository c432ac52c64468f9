//! A database of InfluxDB 1, or of a server that takes its requests.

use crate::encode::dialect::Dialect;
use crate::target::login::Login;

/// A database of an InfluxDB 1 server, or of one that takes its requests.
///
/// Points go to `/write`, with the precision `ns`.
///
/// # Examples
///
/// ```
/// use buffer_influx::{Consistency, V1};
///
/// let target = V1::new("metrics").retention_policy("week").consistency(Consistency::One).basic_auth("writer", "secret");
/// assert!(!format!("{target:?}").contains("secret"));
/// ```
#[derive(Debug, Clone)]
pub struct V1 {
    pub(crate) database: String,
    retention_policy: Option<String>,
    consistency: Option<Consistency>,
    pub(crate) login: Login,
    pub(crate) dialect: Dialect,
}

/// How many nodes of a cluster must have a point before the write is answered.
///
/// # Examples
///
/// ```
/// use buffer_influx::{Consistency, V1};
///
/// let target = V1::new("metrics").consistency(Consistency::Quorum);
/// # drop(target);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Consistency {
    /// Any node has it, if only to pass it on later.
    Any,
    /// One node has stored it.
    One,
    /// Most nodes have stored it.
    Quorum,
    /// All nodes have stored it.
    All,
}

impl V1 {
    /// The database `database`, without a login.
    pub fn new(database: impl Into<String>) -> Self {
        Self {
            database: database.into(),
            retention_policy: None,
            consistency: None,
            login: Login::None,
            dialect: Dialect::Influx1,
        }
    }

    /// The retention policy that points go to. Default: the database's default.
    #[must_use]
    pub fn retention_policy(mut self, name: impl Into<String>) -> Self {
        self.retention_policy = Some(name.into());
        self
    }

    /// What a cluster waits for before it answers. Default: the cluster's setting.
    #[must_use]
    pub fn consistency(mut self, consistency: Consistency) -> Self {
        self.consistency = Some(consistency);
        self
    }

    /// The user, whose name can't contain a colon, and the password; sent in a header.
    #[must_use]
    pub fn basic_auth(mut self, user: impl Into<String>, password: impl Into<String>) -> Self {
        let (user, password) = (user.into(), password.into());
        self.login = Login::Basic { user, password };
        self
    }

    /// The user and the password, sent in the URL as `u` and `p`, for when nothing else is taken: the logs of whatever stands between
    /// may show them.
    #[must_use]
    pub fn query_auth(mut self, user: impl Into<String>, password: impl Into<String>) -> Self {
        let (user, password) = (user.into(), password.into());
        self.login = Login::Parameters { user, password };
        self
    }

    /// A token, sent in a header with the word `Token`. Since 1.8, InfluxDB takes `user:password` as one.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.login = Login::Token {
            scheme: "Token",
            token: token.into(),
        };
        self
    }

    /// The dialect of a server that takes the requests of version 1 and reads the lines in its own way. Default:
    /// [`Dialect::Influx1`].
    #[must_use]
    pub fn dialect(mut self, dialect: Dialect) -> Self {
        self.dialect = dialect;
        self
    }

    /// Both InfluxDB and VictoriaMetrics know the word `ns`; with a word that it does not know, the latter guesses.
    pub(crate) fn parameters(&self) -> Vec<(&'static str, &str)> {
        let mut parameters = vec![("db", self.database.as_str()), ("precision", "ns")];
        parameters.extend(self.retention_policy.as_deref().map(|name| ("rp", name)));
        parameters.extend(
            self.consistency
                .map(|consistency| ("consistency", consistency.word())),
        );
        parameters
    }
}

impl Consistency {
    fn word(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::One => "one",
            Self::Quorum => "quorum",
            Self::All => "all",
        }
    }
}
