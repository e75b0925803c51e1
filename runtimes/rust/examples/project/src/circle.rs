use crate::Shape;
use std::f64::consts::PI;

pub struct Circle {
    pub radius: f64,
}

impl Shape for Circle {
    fn name(&self) -> &str {
        "circle"
    }

    fn area(&self) -> f64 {
        PI * self.radius * self.radius
    }
}
