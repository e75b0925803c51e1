//! Draws a coloured progress bar over and over on the same line: output shows as it is printed.
use std::io::{self, Write};
use std::{thread, time::Duration};

const WIDTH: usize = 30;
const STEPS: usize = 25;
const GREEN: &str = "\x1b[32m";
const PLAIN: &str = "\x1b[0m";

fn main() -> io::Result<()> {
    for step in 0..=STEPS {
        let filled = WIDTH * step / STEPS;
        let (done, rest) = ("█".repeat(filled), "░".repeat(WIDTH - filled));
        print!("\r{GREEN}{done}{PLAIN}{rest} {:3} %", 100 * step / STEPS);
        io::stdout().flush()?;
        thread::sleep(Duration::from_millis(40));
    }
    println!("\nDone.");
    Ok(())
}
