package partial

import "slices"

// Span is a part of a blob: the bytes from Start up to, not including, End.
type Span struct {
	Start int64 `json:"start"`
	End   int64 `json:"end"`
}

// Len returns the number of bytes.
func (s Span) Len() int64 { return s.End - s.Start }

// shift returns s by n bytes farther behind.
func (s Span) shift(n int64) Span { return Span{s.Start + n, s.End + n} }

// spans are in order and do not touch.
type spans []Span

// from returns the index of the first span that has a byte at or behind at.
func (s spans) from(at int64) int {
	i, _ := slices.BinarySearchFunc(s, at, func(e Span, at int64) int {
		if e.End <= at {
			return -1
		}
		return 1
	})
	return i
}

// add returns s with n in it. s is not used any more.
func (s spans) add(n Span) spans {
	if n.Start >= n.End {
		return s
	}
	// The spans from i up to j touch n and become one with it.
	i := s.from(n.Start - 1)
	j := i
	for j < len(s) && s[j].Start <= n.End {
		n.Start, n.End = min(n.Start, s[j].Start), max(n.End, s[j].End)
		j++
	}
	return slices.Replace(s, i, j, n)
}

// remove returns s without the bytes of n. s is not used any more.
func (s spans) remove(n Span) spans {
	var rest []Span
	i := s.from(n.Start)
	j := i
	for ; j < len(s) && s[j].Start < n.End; j++ {
		if s[j].Start < n.Start {
			rest = append(rest, Span{s[j].Start, n.Start})
		}
		if s[j].End > n.End {
			rest = append(rest, Span{n.End, s[j].End})
		}
	}
	return slices.Replace(s, i, j, rest...)
}

// end returns where the bytes that are there without a gap from at on end.
func (s spans) end(at int64) int64 {
	if i := s.from(at); i < len(s) && s[i].Start <= at {
		return s[i].End
	}
	return at
}

// missing returns what s lacks of size bytes.
func (s spans) missing(size int64) []Span { return s.lacks(Span{0, size}) }

// lacks returns the parts of w that are not in s.
func (s spans) lacks(w Span) []Span {
	var gaps []Span
	at := w.Start
	for _, e := range s[s.from(w.Start):] {
		if e.Start >= w.End {
			break
		}
		if e.Start > at {
			gaps = append(gaps, Span{at, e.Start})
		}
		at = max(at, e.End)
	}
	if at < w.End {
		gaps = append(gaps, Span{at, w.End})
	}
	return gaps
}

// has reports whether all of w is in s.
func (s spans) has(w Span) bool { return s.end(w.Start) >= w.End }

// within returns the parts of w that are in s, counted from the start of w.
func (s spans) within(w Span) spans {
	var parts spans
	for _, e := range s[s.from(w.Start):] {
		if e.Start >= w.End {
			break
		}
		parts = append(parts, Span{max(e.Start, w.Start), min(e.End, w.End)}.shift(-w.Start))
	}
	return parts
}

func (s spans) total() int64 {
	var n int64
	for _, e := range s {
		n += e.Len()
	}
	return n
}

// valid reports whether s is in order, without overlaps, and within size bytes.
func (s spans) valid(size int64) bool {
	at := int64(0)
	for _, e := range s {
		if e.Start < at || e.End <= e.Start || e.End > size {
			return false
		}
		at = e.End
	}
	return true
}
