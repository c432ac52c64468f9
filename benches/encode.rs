//! Encodes readings in the line protocol: `cargo bench -p buffer-benches --bench encode`.

#[path = "encode/by_hand.rs"]
mod by_hand;
#[path = "encode/readings.rs"]
mod readings;

fn main() {
    for (name, readings) in [("plain", readings::plain()), ("special", readings::special())] {
        let mut text = String::new();
        for reading in &readings {
            by_hand::push_line(&mut text, reading);
        }
        println!("{name}: {} bytes a line", text.len() / readings.len());
        println!("{}", &text[..260]);
    }
}
