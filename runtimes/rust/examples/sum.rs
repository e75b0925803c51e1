//! Adds up the numbers on its input, one a line.
use std::io;

fn main() {
    let numbers: Vec<f64> = io::stdin().lines().map_while(Result::ok).filter_map(|line| line.trim().parse().ok()).collect();
    println!("{} numbers, sum {}", numbers.len(), numbers.iter().sum::<f64>());
}
