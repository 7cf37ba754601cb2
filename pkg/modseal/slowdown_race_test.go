//go:build race

package modseal

// slowdown is how much more processor time than usual the tests may take,
// whose code is instrumented.
const slowdown = 20
