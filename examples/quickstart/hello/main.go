// Command hello is what the quickstart's image runs.
package main

import "fmt"

func main() { fmt.Println("Hello from an image in your own registry.") }
