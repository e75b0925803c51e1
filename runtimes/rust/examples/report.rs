//! Writes a file: what a program produces can be taken out of the sandbox.
use std::fs::File;
use std::io::{self, Write};

fn main() -> io::Result<()> {
    let mut file = File::create("report.csv")?;
    writeln!(file, "number,square")?;
    for n in 1..=10 {
        writeln!(file, "{n},{}", n * n)?;
    }
    println!("Wrote report.csv");
    Ok(())
}
