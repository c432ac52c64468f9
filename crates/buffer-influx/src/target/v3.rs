//! A database of InfluxDB 3.

use crate::target::login::Login;

/// A database of an InfluxDB 3 server.
///
/// Points go to `/api/v3/write_lp`, with the precision `nanosecond`, as the server would otherwise guess it.
///
/// # Examples
///
/// ```
/// use buffer_influx::V3;
///
/// let target = V3::new("metrics", "secret").no_sync();
/// assert!(!format!("{target:?}").contains("secret"));
/// ```
#[derive(Debug, Clone)]
pub struct V3 {
    pub(crate) database: String,
    pub(crate) login: Login,
    accept_partial: bool,
    no_sync: bool,
}

impl V3 {
    /// The database `database`; the server creates it with its first points. An empty token is refused when the client is built: to
    /// send none, use [`without_login`](V3::without_login).
    pub fn new(database: impl Into<String>, token: impl Into<String>) -> Self {
        Self {
            database: database.into(),
            login: Login::Token {
                scheme: "Bearer",
                token: token.into(),
            },
            accept_partial: true,
            no_sync: false,
        }
    }

    /// Sends no token, for a server that was started without authentication.
    #[must_use]
    pub fn without_login(mut self) -> Self {
        self.login = Login::None;
        self
    }

    /// Asks the server to refuse a request as a whole if one of its lines is bad. It then names one bad line in each answer, so each
    /// costs one more request. Default: it stores the other lines.
    #[must_use]
    pub fn whole_or_nothing(mut self) -> Self {
        self.accept_partial = false;
        self
    }

    /// Asks the server to answer before the points are on its disk. This is faster, but a crash of the server loses up to a second of
    /// points that were reported as delivered. Default: it answers afterwards.
    #[must_use]
    pub fn no_sync(mut self) -> Self {
        self.no_sync = true;
        self
    }

    /// A setting is sent only if it differs from the server's default, as servers before 3.2 know fewer of them.
    pub(crate) fn parameters(&self) -> Vec<(&'static str, &str)> {
        let mut parameters = vec![("db", self.database.as_str()), ("precision", "nanosecond")];
        parameters.extend((!self.accept_partial).then_some(("accept_partial", "false")));
        parameters.extend(self.no_sync.then_some(("no_sync", "true")));
        parameters
    }
}
