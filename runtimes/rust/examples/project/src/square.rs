use crate::Shape;

pub struct Square {
    pub side: f64,
}

impl Shape for Square {
    fn name(&self) -> &str {
        "square"
    }

    fn area(&self) -> f64 {
        self.side * self.side
    }
}
