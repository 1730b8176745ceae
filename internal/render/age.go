package render

import (
	"fmt"
	"time"
)

// Age is how long ago something was, in its largest unit: 59s, 59m, 23h, 364d, 9y; `never` for the zero time.
func Age(now, then time.Time) string {
	if then.IsZero() {
		return "never"
	}
	d := max(now.Sub(then), 0)
	const day, year = 24 * time.Hour, 365 * 24 * time.Hour
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < day:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d < year:
		return fmt.Sprintf("%dd", d/day)
	}
	return fmt.Sprintf("%dy", d/year)
}
