//! What was counted next to what is stored, row by row.

use std::fmt;

use buffer_influx::{Client, ClientError};

use crate::shop::{COUNTRIES, Tally};

/// All rows.
pub struct Comparison {
    rows: Vec<Row>,
}

struct Row {
    what: String,
    counted: f64,
    stored: Option<f64>,
}

impl Comparison {
    /// Asks the database for everything that `counted` has.
    pub async fn read(client: &Client, counted: &Tally) -> Result<Self, ClientError> {
        let Tally {
            orders,
            values,
            value_sum,
            least,
            greatest,
            queues,
            steps,
        } = counted;
        let mut rows = Vec::new();
        for (country, orders) in COUNTRIES.iter().zip(orders) {
            let query = format!("SELECT sum(delta) FROM orders WHERE country = '{country}'");
            rows.push(Row::read(client, format!("orders from {country}"), *orders as f64, &query).await?);
        }
        let of_values = |field: &str| format!("SELECT {field} FROM order_value");
        for (what, counted, query) in [
            ("values of orders", *values as f64, of_values("sum(\"count\")")),
            ("their sum", *value_sum, of_values("sum(\"sum\")")),
            ("the least of them", *least, of_values("min(\"min\")")),
            ("the greatest of them", *greatest, of_values("max(\"max\")")),
            ("steps", *steps as f64, "SELECT sum(delta) FROM steps".to_owned()),
        ] {
            rows.push(Row::read(client, what.to_owned(), counted, &query).await?);
        }
        for (clerk, queue) in queues.iter().enumerate() {
            let query = format!("SELECT last(gauge) FROM queue WHERE clerk = '{clerk}'");
            rows.push(Row::read(client, format!("queue of clerk {clerk}"), *queue, &query).await?);
        }
        Ok(Self { rows })
    }

    /// Whether the database holds exactly what was counted.
    pub fn agrees(&self) -> bool {
        self.rows.iter().all(|row| row.stored == Some(row.counted))
    }
}

impl Row {
    async fn read(client: &Client, what: String, counted: f64, query: &str) -> Result<Self, ClientError> {
        let results = client.query(query).await?;
        // The number follows the time, in the only row.
        let stored = results
            .series()
            .next()
            .and_then(|series| series.values.first()?.get(1)?.as_f64());
        Ok(Self {
            what,
            counted,
            stored,
        })
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Row {
            what,
            counted,
            stored,
        } in &self.rows
        {
            match stored {
                Some(stored) => writeln!(f, "{what}: counted {counted}, stored {stored}")?,
                None => writeln!(f, "{what}: counted {counted}, stored none")?,
            }
        }
        Ok(())
    }
}
