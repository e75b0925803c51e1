// A program of several files: a module with a package of its own.
package main

import (
	"fmt"

	"example.com/project/shapes"
)

func main() {
	for _, shape := range []shapes.Shape{shapes.Circle{Radius: 1}, shapes.Square{Side: 2}} {
		fmt.Printf("%-8s area %.2f\n", shape.Name(), shape.Area())
	}
}
