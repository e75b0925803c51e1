// Greets everyone it is given: try it with the arguments `Ada Grace --shout`.
package main

import (
	"fmt"
	"os"
	"strings"
)

func main() {
	shout := false
	var names []string
	for _, argument := range os.Args[1:] {
		if argument == "--shout" {
			shout = true
		} else {
			names = append(names, argument)
		}
	}
	if len(names) == 0 {
		names = []string{"world"}
	}

	for _, name := range names {
		greeting := fmt.Sprintf("Hello, %s!", name)
		if shout {
			greeting = strings.ToUpper(greeting)
		}
		fmt.Println(greeting)
	}
}
