//! A program of several files: a package as cargo makes it.
mod circle;
mod square;

use circle::Circle;
use square::Square;

trait Shape {
    fn name(&self) -> &str;
    fn area(&self) -> f64;
}

fn main() {
    let shapes: [Box<dyn Shape>; 2] = [Box::new(Circle { radius: 1.0 }), Box::new(Square { side: 2.0 })];
    for shape in shapes {
        println!("{:8} area {:.2}", shape.name(), shape.area());
    }
}
