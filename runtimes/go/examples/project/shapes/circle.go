package shapes

import "math"

type Circle struct{ Radius float64 }

func (Circle) Name() string { return "circle" }

func (circle Circle) Area() float64 { return math.Pi * circle.Radius * circle.Radius }
