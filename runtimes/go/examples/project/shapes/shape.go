// Package shapes has shapes that know their area.
package shapes

type Shape interface {
	Name() string
	Area() float64
}
