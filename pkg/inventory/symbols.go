package inventory

import (
	"strings"
	"unicode"
)

// alphabet is Crockford's base 32, which leaves out letters that look like digits
// (https://www.crockford.com/base32.html). All of it is in the alphanumeric mode
// of QR codes.
const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// Numbers of symbols of 5 bits.
const (
	prefixSymbols = prefixBytes * 8 / 5
	sumSymbols    = 8
	checkSymbols  = 2
	numberSymbols = 3
)

// value returns what a symbol stands for, as people type it: of either case, and
// with letters for the digits that they look like.
func value(r rune) (byte, bool) {
	switch r = unicode.ToUpper(r); r {
	case 'O':
		r = '0'
	case 'I', 'L':
		r = '1'
	}
	i := strings.IndexRune(alphabet, r)
	return byte(max(i, 0)), i >= 0
}

// encode writes bytes as symbols; their bits are a multiple of 5.
func encode(data []byte) []byte {
	out := make([]byte, 0, len(data)*8/5)
	var acc, bits uint
	for _, b := range data {
		acc, bits = acc<<8|uint(b), bits+8
		for bits >= 5 {
			bits -= 5
			out = append(out, byte(acc>>bits&31))
		}
	}
	return out
}

// decode is the reverse of encode.
func decode(symbols []byte) []byte {
	out := make([]byte, 0, len(symbols)*5/8)
	var acc, bits uint
	for _, s := range symbols {
		if acc, bits = acc<<5|uint(s), bits+5; bits >= 8 {
			bits -= 8
			out = append(out, byte(acc>>bits&255))
		}
	}
	return out
}

// Two check symbols make each line a word of a shortened Reed-Solomon code over
// GF(32), x^5 + x^2 + 1: with a the element x, the sums of v[i] and of v[i]·a^i over
// all symbols are zero. Any two wrong symbols of up to 31, and so any two that
// changed places, are noticed, and one wrong symbol can be located.
//
// power has a^i, and log the i of each power.
var power, log = fieldTables()

func fieldTables() (power [62]byte, log [32]int) {
	x := byte(1)
	for i := range 31 {
		power[i], power[i+31], log[x] = x, x, i
		if x <<= 1; x > 31 {
			x ^= 0b100101
		}
	}
	return power, log
}

func times(x, y byte) byte {
	if x == 0 || y == 0 {
		return 0
	}
	return power[log[x]+log[y]]
}

// syndromes are both zero for a word without errors.
func syndromes(word []byte) (sum, weighted byte) {
	for i, v := range word {
		sum ^= v
		weighted ^= times(v, power[i])
	}
	return sum, weighted
}

// check returns the two symbols that make symbols a word.
func check(symbols []byte) []byte {
	sum, weighted := syndromes(symbols)
	n := len(symbols)
	// c0 + c1 = sum and c0·a^n + c1·a^(n+1) = weighted.
	denominator := power[n] ^ power[n+1]
	c1 := times(weighted^times(sum, power[n]), power[31-log[denominator]])
	return []byte{sum ^ c1, c1}
}

// locate finds the one symbol of a word that may be wrong, and what it would be.
func locate(word []byte) (at int, want byte, ok bool) {
	sum, weighted := syndromes(word)
	if sum == 0 || weighted == 0 {
		return 0, 0, false
	}
	at = (log[weighted] - log[sum] + 31) % 31
	if at >= len(word) {
		return 0, 0, false
	}
	return at, word[at] ^ sum, true
}

// groups writes symbols in groups of four.
func groups(symbols []byte, between string) string {
	var b strings.Builder
	for i, s := range symbols {
		if i > 0 && i%4 == 0 {
			b.WriteString(between)
		}
		b.WriteByte(alphabet[s])
	}
	return b.String()
}
