package pickle

// Kind is what a [Value] is.
type Kind uint8

// Kinds. Unknown is what cannot be known without loading the pickle, and what is not
// kept of one that is too large.
const (
	Unknown Kind = iota
	None
	Bool
	Int // of up to 56 bits
	Number
	Text
	Bytes
	Tuple
	List
	Dict
	Set
	Call // what a call returned
	StorageRef
	Array // see [BuildHook]
	GlobalRef
	Magic // the number that begins a legacy file of torch
)

// kinds are what the kinds of values inside are outside, and in a sentence.
var kinds = [16]struct {
	kind  Kind
	words string
}{
	isUnknown: {Unknown, "something unknown"},
	isNone:    {None, "None"},
	isBool:    {Bool, "a truth value"},
	isInt:     {Int, "a number"},
	isNumber:  {Number, "a number"},
	isText:    {Text, "a text"},
	isBytes:   {Bytes, "bytes"},
	isTuple:   {Tuple, "a tuple"},
	isList:    {List, "a list"},
	isDict:    {Dict, "a dictionary"},
	isSet:     {Set, "a set"},
	isCall:    {Call, "what a call returned"},
	isStorage: {StorageRef, "a storage"},
	isArray:   {Array, "an array"},
	isGlobal:  {GlobalRef, "a global"},
	isMagic:   {Magic, "a number"},
}

// Value is an abstract value of a pickle. The zero one is unknown. Values can be part
// of themselves.
type Value struct {
	heap *heap
	v    value
}

// Entry is a key and its value.
type Entry struct{ Key, Value Value }

// Kind tells what it is.
func (v Value) Kind() Kind {
	if v.heap == nil {
		return Unknown
	}
	return kinds[v.v.kind()].kind
}

// False tells whether it is the truth value False.
func (v Value) False() bool { return v.Kind() == Bool && v.v.id() == 0 }

// Text returns the text it is. Texts of more than 4 KiB are not kept.
func (v Value) Text() (string, bool) {
	if v.heap == nil {
		return "", false
	}
	return v.heap.text(v.v)
}

// Int returns the number it is, when that is whole and has up to 56 bits.
func (v Value) Int() (int64, bool) {
	if v.Kind() != Int {
		return 0, false
	}
	return v.v.integer(), true
}

// Global returns the global it is, or the one that was called for it.
func (v Value) Global() (Global, bool) {
	switch v.Kind() {
	case GlobalRef:
		j, _ := v.heap.global(v.v)
		return j.Global, true
	case Call, Array:
		if o := v.object(); o != nil {
			j, ok := v.heap.global(o.fn)
			return j.Global, ok
		}
	}
	return Global{}, false
}

// Items returns the elements of a tuple, the arguments of a call, or those elements of
// a list that are no numbers. whole is false when some are not kept.
func (v Value) Items() (items []Value, whole bool) {
	o := v.object()
	if o == nil {
		return nil, v.Kind() < Tuple
	}
	switch v.Kind() {
	case Call, Array:
		if o.args.kind() != isTuple {
			return nil, false // of a list, numbers are not kept
		}
		return Value{v.heap, o.args}.Items()
	case Tuple, StorageRef:
		for _, item := range o.items {
			items = append(items, Value{v.heap, item})
		}
	default:
		for i := 1; i < len(o.items); i += 2 {
			items = append(items, Value{v.heap, o.items[i]})
		}
	}
	return items, !o.cut
}

// Entries returns the keys and values of a dictionary or of what a call returned, and
// the indexes and elements of a list, without those that are numbers.
func (v Value) Entries() (entries []Entry, whole bool) {
	o := v.object()
	if o == nil || v.Kind() == Tuple || v.Kind() == StorageRef {
		return nil, o != nil
	}
	for i := 0; i+1 < len(o.items); i += 2 {
		entries = append(entries, Entry{Value{v.heap, o.items[i]}, Value{v.heap, o.items[i+1]}})
	}
	return entries, !o.cut
}

// State returns what BUILD gave it; unknown without.
func (v Value) State() Value {
	if o := v.object(); o != nil {
		return Value{v.heap, o.state}
	}
	return Value{}
}

// Restated tells whether it was given more than one state: to the last, which State
// returns, the loader has added to those before.
func (v Value) Restated() bool {
	o := v.object()
	return o != nil && o.given > 1
}

func (v Value) object() *object {
	if v.heap == nil {
		return nil
	}
	return v.heap.object(v.v)
}

// Identity is equal for values that are one object.
type Identity struct {
	heap *heap
	id   uint64
}

// Identity returns that of a value that has others in it.
func (v Value) Identity() Identity { return Identity{v.heap, v.v.id()} }
