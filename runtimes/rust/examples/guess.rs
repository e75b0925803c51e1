//! A game: the answer comes at once, because what you type goes straight to the program.
use std::cmp::Ordering;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};

fn main() -> io::Result<()> {
    // Every hasher starts with a random state: enough for a game.
    let number = RandomState::new().hash_one(0) % 20 + 1;
    println!("I think of a number from 1 to 20.");
    let mut tries = 0;
    loop {
        print!("Your guess: ");
        io::stdout().flush()?;
        let mut line = String::new();
        if io::stdin().read_line(&mut line)? == 0 {
            println!("\nIt was {number}.");
            return Ok(());
        }
        let Ok(guess) = line.trim().parse::<u64>() else {
            println!("A whole number, please.");
            continue;
        };
        tries += 1;
        match guess.cmp(&number) {
            Ordering::Less => println!("Higher!"),
            Ordering::Greater => println!("Lower!"),
            Ordering::Equal => {
                println!("Right, after {tries} {}!", if tries == 1 { "try" } else { "tries" });
                return Ok(());
            }
        }
    }
}
