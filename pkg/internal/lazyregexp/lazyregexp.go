// Package lazyregexp compiles regular expressions when a text is first held against
// them. Each start of a program compiles those of all its packages otherwise, and few
// starts need one. It is for those that are long once compiled, such as with counted
// repetitions: the 44 here took 1.7 MB and 2 ms.
package lazyregexp

import (
	"regexp"
	"sync"
)

// Regexp is an expression that was not compiled yet, or was. Its methods are those of
// [regexp.Regexp], and safe for concurrent use.
type Regexp struct {
	expression string
	once       sync.Once
	compiled   *regexp.Regexp
}

// New is [regexp.MustCompile] but for the time: what is no expression panics at its
// first use.
func New(expression string) *Regexp { return &Regexp{expression: expression} }

func (r *Regexp) get() *regexp.Regexp {
	r.once.Do(func() { r.compiled = regexp.MustCompile(r.expression) })
	return r.compiled
}

// MatchString reports whether there is a match in s.
func (r *Regexp) MatchString(s string) bool { return r.get().MatchString(s) }

// FindStringSubmatch returns the first match in s and its groups, or nil.
func (r *Regexp) FindStringSubmatch(s string) []string { return r.get().FindStringSubmatch(s) }

// FindStringSubmatchIndex returns where the first match in s and its groups are, or nil.
func (r *Regexp) FindStringSubmatchIndex(s string) []int {
	return r.get().FindStringSubmatchIndex(s)
}

// FindAllStringIndex returns where the first n matches in s are.
func (r *Regexp) FindAllStringIndex(s string, n int) [][]int {
	return r.get().FindAllStringIndex(s, n)
}

// ReplaceAllStringFunc returns s with each match replaced by what f makes of it.
func (r *Regexp) ReplaceAllStringFunc(s string, f func(string) string) string {
	return r.get().ReplaceAllStringFunc(s, f)
}
