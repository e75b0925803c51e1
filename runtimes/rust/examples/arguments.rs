//! Greets everyone it is given: try it with the arguments `Ada Grace --shout`.

fn main() {
    let (options, mut names): (Vec<_>, Vec<_>) = std::env::args().skip(1).partition(|argument| argument == "--shout");
    if names.is_empty() {
        names.push("world".into());
    }
    for name in names {
        let greeting = format!("Hello, {name}!");
        println!("{}", if options.is_empty() { greeting } else { greeting.to_uppercase() });
    }
}
