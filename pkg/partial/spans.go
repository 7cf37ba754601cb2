package partial

import "slices"

// Span is a part of a blob: the bytes from Start up to, not including, End.
type Span struct {
	Start int64 `json:"start"`
	End   int64 `json:"end"`
}

// Len returns the number of bytes.
func (s Span) Len() int64 { return s.End - s.Start }

// spans are in order and do not touch.
type spans []Span

// add returns s with n in it. s is not used any more.
func (s spans) add(n Span) spans {
	if n.Start >= n.End {
		return s
	}
	// The spans from i up to j touch n and become one with it.
	i, _ := slices.BinarySearchFunc(s, n.Start, func(e Span, at int64) int {
		if e.End < at {
			return -1
		}
		return 1
	})
	j := i
	for j < len(s) && s[j].Start <= n.End {
		n.Start, n.End = min(n.Start, s[j].Start), max(n.End, s[j].End)
		j++
	}
	return slices.Replace(s, i, j, n)
}

// end returns where the bytes that are there without a gap from at on end.
func (s spans) end(at int64) int64 {
	for _, e := range s {
		if e.Start <= at && at < e.End {
			return e.End
		}
	}
	return at
}

// missing returns what s lacks of size bytes.
func (s spans) missing(size int64) []Span { return s.lacks(Span{0, size}) }

// lacks returns the parts of w that are not in s.
func (s spans) lacks(w Span) []Span {
	var gaps []Span
	at := w.Start
	for _, e := range s {
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
