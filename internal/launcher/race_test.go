//go:build race

package launcher_test

const raceKB = 100 << 10
