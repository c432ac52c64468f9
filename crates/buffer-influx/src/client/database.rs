//! Creates the database that a client writes to.

use reqwest::header::CONTENT_TYPE;
use serde_json::json;

use crate::client::error::ClientError;
use crate::client::{Client, refused};
use crate::target::Target;

/// What is read of the answer.
const ANSWER_BYTES: usize = 64 * 1024;

impl Client {
    /// Creates the target's database; if it exists, nothing happens.
    ///
    /// # Errors
    ///
    /// A [`ClientError`]. If the server asks for a login, the user must be an administrator. A bucket of InfluxDB 2 is
    /// [`ClientError::Unsupported`]: somebody has to choose its retention and its owner.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime, or in one without I/O or time.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the connection; the database may or may not be there.
    pub async fn create_database(&self) -> Result<(), ClientError> {
        match self.target() {
            Target::V1(target) => self
                .post_query_without_database(&format!("CREATE DATABASE {}", quoted(&target.database)))
                .await
                .map(drop),
            Target::V2(_) => Err(ClientError::Unsupported {
                what: "a bucket of InfluxDB 2 can't be created by its name alone",
            }),
            Target::V3(target) => self.configure_database(&target.database).await,
        }
    }

    async fn configure_database(&self, database: &str) -> Result<(), ClientError> {
        const EXISTS: u16 = 409;
        let url = self.endpoint(&["api", "v3", "configure", "database"]);
        let request = self
            .pool()?
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .body(json!({ "db": database }).to_string());
        let answer = self.send(request, ANSWER_BYTES).await?;
        if answer.status.is_success() || answer.status.as_u16() == EXISTS {
            return Ok(());
        }
        Err(refused(&answer))
    }
}

/// An identifier in InfluxQL.
fn quoted(name: &str) -> String {
    let mut quoted = String::from("\"");
    for character in name.chars() {
        match character {
            '\n' => quoted.push_str(r"\n"),
            '"' | '\\' => quoted.extend(['\\', character]),
            _ => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_can_t_leave_its_quotes() {
        assert_eq!(quoted("metrics"), r#""metrics""#);
        assert_eq!(quoted("a\" DROP \\\n"), r#""a\" DROP \\\n""#);
    }
}
