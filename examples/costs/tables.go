package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// stored are the sizes that a registry is compared with ECR at, in GB.
var stored = []float64{100, 500, 1000, 2000, 5000}

// table is the section of a README.
func (s shape) table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Computed from the list prices of %s of %s, on demand, without free tiers; [examples/costs](%s) has them all.\n\n", region, asOf, costsLink)
	items := s.items
	if s.whole {
		items = append(items, requests())
	}
	b.WriteString("| what | how much | USD a month |\n|---|---|---:|\n")
	for _, i := range items {
		fmt.Fprintf(&b, "| %s | %s | %.2f |\n", i.what, i.count, i.month)
	}
	if !s.whole {
		return b.String()
	}
	fixed := sum(items)
	fmt.Fprintf(&b, "| **together, before images** | | **%.2f** |\n\n", fixed)
	fmt.Fprintf(&b, "Images cost %s a GB in S3 and %s in ECR, which has no other fixed costs. So ECR is cheaper below some %s GB, and this above:\n\n", usd(s3GBMonth, 3), usd(ecrGBMonth, 2), thousands(breakEven(fixed)))
	b.WriteString("| images | this | ECR |\n|---:|---:|---:|\n")
	for _, gb := range stored {
		fmt.Fprintf(&b, "| %s GB | %s | %s |\n", thousands(int(gb)), usd(fixed+gb*s3GBMonth, 0), usd(gb*ecrGBMonth, 0))
	}
	fmt.Fprintf(&b, "\nTransfer is the same for both: nothing within the region, %s a GB to the internet. Images that were deleted are paid for 30 days more, as their versions are kept.\n", usd(transferOutGB, 2))
	return b.String()
}

// breakEven is from how many GB on S3 with that is cheaper than ECR, rounded up to tens.
func breakEven(fixed float64) int {
	return int(math.Ceil(fixed/(ecrGBMonth-s3GBMonth)/10)) * 10
}

func sum(items []item) float64 {
	var total float64
	for _, i := range items {
		total += i.month
	}
	return total
}

func usd(amount float64, decimals int) string { return fmt.Sprintf("$%.*f", decimals, amount) }

// thousands writes 12345 as 12,345.
func thousands(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
