package pickle

// value is an abstract value on the stack or in the memo: what it is in the top byte,
// which one below. Eight bytes, since a hostile pickle makes millions of them.
type value uint64

// Kinds of values. Those that are looked up have their id as payload.
const (
	isUnknown uint64 = iota
	isNone
	isBool
	isInt    // the payload, signed
	isNumber // of another size, or with a fraction
	isText   // see heap.text
	isBytes
	isTuple // from here on see heap.object
	isList
	isDict
	isSet
	isCall
	isStorage // its object is the tuple that names it
	isArray
	isGlobal // see heap.globals
	isMagic  // the number that begins a legacy torch file
)

const (
	payloadBits = 56
	payloadMask = 1<<payloadBits - 1
	// seen marks text and bytes that were looked at as a pickle or a container of
	// their own, and of what calls returned the wrappers of joblib and the types of NumPy.
	seen = 1 << (payloadBits - 1)
	// lost is the id of text that is not kept: it is too long.
	lost = seen - 1
)

func makeValue(kind, payload uint64) value { return value(kind<<payloadBits | payload&payloadMask) }

func (v value) kind() uint64 { return uint64(v) >> payloadBits }
func (v value) id() uint64   { return uint64(v) & payloadMask &^ seen }
func (v value) seen() bool   { return uint64(v)&seen != 0 }

func (v value) marked() bool { return v.kind() == isCall && v.seen() }

// integer makes a number of n, or one that is not known when it needs more than 56
// bits.
func integer(n int64) value {
	if n<<(64-payloadBits)>>(64-payloadBits) != n {
		return makeValue(isNumber, 0)
	}
	return makeValue(isInt, uint64(n))
}

func (v value) integer() int64 { return int64(v) << (64 - payloadBits) >> (64 - payloadBits) }

// scalar tells whether nothing can be inside of v.
func (v value) scalar() bool {
	k := v.kind()
	return k <= isNumber || k == isBytes || k == isMagic
}

// container tells whether v can hold others, as in an expansion attack.
func (v value) container() bool { k := v.kind(); return k >= isTuple && k <= isSet }

// object is a value that has others: the items of a tuple, the keys and values of a
// dictionary by turns, the indexes and elements of a list by turns, without those that
// are scalars, or the keys and values of what a call returned.
type object struct {
	items []value
	fn    value // what was called
	args  value
	state value // what BUILD was given
	count int   // of all elements, kept or not
	cut   bool  // some items are not kept
	given uint8 // how often it was given a state, 2 for more
	used  bool  // it is in others; of what is marked
}

// give notes that the object is given a state, which a loader adds to those before.
func (o *object) give() { o.given = min(o.given+1, 2) }

const (
	// keptBytes bounds what is kept of texts and objects for good. Later ones are
	// kept for a while only, which is enough for the arguments of a call.
	keptBytes = 5 << 20
	// nestedBytes is the same for a pickle in a literal, of which nobody sees the root.
	nestedBytes = 1 << 20
	// recentTexts and recentObjects are how many of those are kept.
	recentTexts   = 128
	recentObjects = 256
	// recentItems bounds the items of each: a type of NumPy has two for each field.
	recentItems = 256
	// maxText is the longest text that is kept: module names, keys.
	maxText = 4 << 10
	// maxGlobals bounds the distinct globals of a stream; large models have fifty.
	maxGlobals = 4096

	// memoReserve is left for the memo.
	memoReserve = 8 * (memoSize + pageSize)

	objectCost = 64
	textCost   = 32
)

// store keeps the first values for good and the last ones for a while.
type store[T any] struct {
	pages  [][]T
	kept   uint64
	full   bool
	recent []T
	next   uint64
}

const pageSize = 256

// add makes room for a value and returns its id. The room may have an old value, whose
// memory can be used again.
func (s *store[T]) add(keep bool, recent int) (id uint64, room *T) {
	id = s.next
	s.next++
	if keep && !s.full {
		if s.kept%pageSize == 0 {
			s.pages = append(s.pages, make([]T, pageSize))
		}
		s.kept++
		return id, &s.pages[id/pageSize][id%pageSize]
	}
	s.full = true
	if s.recent == nil {
		s.recent = make([]T, recent)
	}
	return id, &s.recent[(id-s.kept)%uint64(recent)]
}

// get returns a value, nil when it is no longer kept.
func (s *store[T]) get(id uint64) *T {
	switch {
	case id < s.kept:
		return &s.pages[id/pageSize][id%pageSize]
	case id >= s.next || s.next-id > uint64(len(s.recent)):
		return nil
	}
	return &s.recent[(id-s.kept)%uint64(len(s.recent))]
}

// heap has what values stand for.
type heap struct {
	budget  *int64 // what may still be kept, with memoReserve
	charged int64  // what was taken of it
	texts   store[[]byte]
	objects store[object]
	globals []judged
	byName  map[Global]uint64
}

// charge takes n bytes from the budget.
func (h *heap) charge(n int) bool {
	if *h.budget < int64(n)+memoReserve {
		return false
	}
	*h.budget -= int64(n)
	h.charged += int64(n)
	return true
}

// newText makes a value of text, which is cut when it is the begin of a longer one.
func (h *heap) newText(text []byte, cut bool) value {
	if cut || len(text) > maxText {
		return makeValue(isText, lost)
	}
	keep := !h.texts.full && h.charge(textCost+len(text))
	id, room := h.texts.add(keep, recentTexts)
	*room = append((*room)[:0], text...)
	return makeValue(isText, id)
}

// bytes returns the text of v; ok is false when v is none or it is not kept. It is
// valid until the next text is made.
func (h *heap) bytes(v value) (text []byte, ok bool) {
	if v.kind() != isText {
		return nil, false
	}
	if s := h.texts.get(v.id()); s != nil {
		return *s, true
	}
	return nil, false
}

// text is bytes as a string.
func (h *heap) text(v value) (text string, ok bool) {
	b, ok := h.bytes(v)
	return string(b), ok
}

// newObject makes a value that has others. The items are copied.
func (h *heap) newObject(kind uint64, o object) value {
	o.count = len(o.items)
	keep := !h.objects.full && h.charge(objectCost+8*len(o.items))
	if !keep && len(o.items) > recentItems {
		o.items, o.cut = o.items[:recentItems], true
	}
	id, room := h.objects.add(keep, recentObjects)
	o.items = append(room.items[:0], o.items...)
	*room = o
	return makeValue(kind, id)
}

// object returns what v has, nil when it has nothing or that is no longer kept.
func (h *heap) object(v value) *object {
	if k := v.kind(); k < isTuple || k > isArray {
		return nil
	}
	return h.objects.get(v.id())
}

// extend adds items to v, n elements in all.
func (h *heap) extend(v value, n int, items ...value) {
	o := h.object(v)
	if o == nil {
		return
	}
	o.count += n
	if v.id() < h.objects.kept && h.charge(2*8*len(items)) || v.id() >= h.objects.kept && len(o.items)+len(items) <= recentItems {
		o.items = append(o.items, items...)
		return
	}
	o.cut = o.cut || len(items) > 0
}

// global returns the one that v is.
func (h *heap) global(v value) (judged, bool) {
	if v.kind() != isGlobal {
		return judged{}, false
	}
	return h.globals[v.id()], true
}
