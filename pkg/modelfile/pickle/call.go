package pickle

import (
	"fmt"

	"github.com/modseal/modseal/pkg/modelfile/hazard"
)

// callStep runs an opcode that names, calls or changes something.
func (m *machine) callStep(op opcode) error {
	switch op {
	case opStackGlobal:
		return m.stackGlobal()
	case opBinPersID:
		if err := m.need(1); err != nil {
			return err
		}
		m.push(m.persistent(m.pop()))
	case opReduce, opNewObj:
		if err := m.need(2); err != nil {
			return err
		}
		args := m.pop()
		m.push(m.call(m.pop(), args))
	case opNewObjEx:
		if err := m.need(3); err != nil {
			return err
		}
		named := m.pop()
		m.held([]value{named})
		args := m.pop()
		m.unnamed(m.top(), named)
		m.push(m.call(m.pop(), args))
	case opObj:
		items, err := m.popMark()
		if err != nil {
			return err
		}
		if len(items) == 0 {
			return malformed("OBJ finds no class above the mark")
		}
		class := items[0]
		m.push(m.call(class, m.tuple(items[1:])))
	case opBuild:
		return m.build()
	default:
		return malformed("%s is not known here", operations[op].name)
	}
	return nil
}

// stackGlobal names the global whose module and name are on the stack.
func (m *machine) stackGlobal() error {
	if err := m.need(2); err != nil {
		return err
	}
	name, module := m.pop(), m.pop()
	g := Global{}
	for _, part := range []struct {
		v    value
		text *string
	}{{module, &g.Module}, {name, &g.Name}} {
		text, ok := m.heap.text(part.v)
		switch {
		case ok:
			*part.text = text
			continue
		case part.v.kind() == isText && part.v.id() != lost:
			m.limit(m.at, "the name of a global is too far back among many texts to be known")
		default:
			m.find(hazard.Of("pickle-computed-name", m.describe(part.v), "a global is named by something that is no text, or by one of more than 4,096 bytes").At(m.at))
		}
		m.settle()
		m.globals++
		m.push(makeValue(isUnknown, 0))
		return nil
	}
	return m.name(g)
}

// name judges a global and pushes it.
func (m *machine) name(g Global) error {
	m.settle()
	m.globals++
	id, ok := m.heap.byName[g]
	if !ok {
		if len(m.heap.globals) >= maxGlobals {
			return breakf("pickle-limit", "more than %d globals", maxGlobals)
		}
		j := judge(g, m.protocol, m.options, m.options.Build != nil && m.nesting == 0 && !m.plain)
		id = uint64(len(m.heap.globals))
		m.heap.globals = append(m.heap.globals, j)
		if m.heap.byName == nil {
			m.heap.byName = map[Global]uint64{}
		}
		m.heap.byName[g] = id
		m.use(g, m.at, j.verdict)
		m.blame(j)
	}
	m.push(makeValue(isGlobal, id))
	return nil
}

// blame reports a global that is not clean.
func (m *machine) blame(j judged) {
	if j.verdict == hazard.Clean {
		return
	}
	message := fmt.Sprintf("%s is on no list of what models need: somebody has to know what it does", j)
	if j.verdict == hazard.Dangerous {
		message = fmt.Sprintf("%s %s", j, j.denial.why)
	}
	f := hazard.Of(j.rule, j.String(), message).At(m.at)
	if j.denial.severity != 0 {
		f.Severity = j.denial.severity
	}
	m.find(f)
}

// call is what a call of fn returns.
func (m *machine) call(fn, args value) value {
	m.settle()
	m.calls++
	m.held([]value{args})
	j, ok := m.heap.global(fn)
	if !ok {
		m.find(hazard.Of("pickle-computed-call", m.describe(fn), "what is called is no global by name but "+m.describe(fn)).At(m.at))
		return m.heap.newObject(isCall, object{fn: fn, args: args})
	}
	if result, ok := m.checked(j, args); ok {
		return result
	}
	return m.made(fn, args)
}

// made is what a call of fn returns, when that is not known. A wrapper of joblib and a type
// of NumPy are marked, since their state matters, also when they are no longer kept.
func (m *machine) made(fn, args value) value {
	v := m.heap.newObject(isCall, object{fn: fn, args: args})
	if j, ok := m.heap.global(fn); ok && (j.check == isJoblib || j.check == isDType) {
		v |= seen
	}
	return v
}

// unnamed wants no arguments by name for a global that is clean by itself: writers give
// none to those, and there are some which are addresses in memory (cdata of torch.Tensor,
// allocator of UntypedStorage).
func (m *machine) unnamed(fn, named value) {
	j, ok := m.heap.global(fn)
	ok = ok && j.verdict == hazard.Clean && !m.options.Allow[j.Global]
	if o := m.heap.object(named); ok && (named.kind() != isDict || o == nil || o.count > 0) {
		m.limit(m.at, fmt.Sprintf("the arguments of %s are given by name, and are not looked at", j))
	}
}

// checked looks at the arguments of a global that is clean with some only. When the
// call has a result that is known, it returns that.
func (m *machine) checked(j judged, args value) (result value, ok bool) {
	if j.check == anyArguments || j.check == isJoblib {
		return 0, false
	}
	o := m.heap.object(args)
	if args.kind() != isTuple || o == nil || o.cut {
		m.limit(m.at, fmt.Sprintf("the arguments of %s are not known", j))
		return 0, false
	}
	arg := func(i int) value {
		if i < len(o.items) {
			return o.items[i]
		}
		return makeValue(isNone, 0)
	}
	switch j.check {
	case isFactory:
		if v := arg(0); v.kind() != isNone {
			m.class(j, v)
		}
	case isReconstructor:
		m.class(j, arg(0))
		m.base(j, arg(1))
		return m.made(arg(0), args), true
	case firstIsGlobal:
		m.class(j, arg(0))
	case isNotCalled:
		m.limit(m.at, fmt.Sprintf("%s is called, which no writer does, and can return whatever is in %s", j, m.describe(arg(0))))
	case isBuffer:
		if v := arg(0); v.kind() != isBytes && v.kind() != isUnknown {
			m.limit(m.at, fmt.Sprintf("%s makes an array of %s, of which it is not known whose memory that is", j, m.describe(v)))
		}
	case isIdentity:
		return arg(0), true
	case isScalar:
		if v := arg(1); v.kind() > isBytes || len(o.items) != 2 {
			m.element(j, Value{&m.heap, arg(0)}, Value{&m.heap, v})
			return v, true
		}
	case isDType:
		if v := arg(0); v.kind() != isText && v.kind() != isGlobal {
			m.limit(m.at, fmt.Sprintf("%s is called with %s: it is not known whether it returns that or another one", j, m.describe(v)))
		}
	case isStateful:
		m.state(arg(3))
	case isInnerCall:
		m.class(j, arg(1))
		m.state(arg(3))
		result := m.call(arg(0), arg(2))
		m.unchanged(result)
		if o := m.heap.object(result); o != nil {
			o.give()
		}
		return result, true
	case isCodec:
		m.codec(j, o.items)
		if arg(0).kind() == isText {
			codec, _ := m.heap.text(arg(1))
			return m.encoded(arg(0), codec), true
		}
	case isTextOf:
		m.codec(j, o.items)
	case isQuantized:
		items, _ := Value{&m.heap, args}.Items()
		m.quantized(j, items)
	case isSparse:
		m.sparse(j)
	case isLoad:
		if len(o.items) != 1 || arg(0).kind() != isBytes || !arg(0).seen() {
			m.find(hazard.Of("pickle-load-from-bytes", j.String(), j.String()+" unpickles bytes which could not be looked at").At(m.at))
		}
	}
	return 0, false
}

// codec wants the second argument, if there is one, to be a codec that models need. Python
// looks for others in the modules of encodings, of which it imports the one of that name.
func (m *machine) codec(j judged, args []value) {
	if len(args) < 2 {
		return
	}
	if codec, known := m.heap.text(args[1]); !known || !codecs[codec] {
		m.find(hazard.Of("pickle-odd-argument", j.String(), fmt.Sprintf("%s is called with %s, which is no codec of text that models need", j, m.describe(args[1]))).At(m.at))
	}
}

// encoded is what a codec makes of text. It was looked at as Latin-1 makes it, and UTF-8
// makes the same of ASCII alone.
func (m *machine) encoded(text value, codec string) value {
	b, known := m.heap.bytes(text)
	if latin1Codecs[codec] || known && isASCII(b) {
		return makeValue(isBytes, uint64(text)&seen)
	}
	return makeValue(isBytes, 0)
}

// class wants v to be a global by name, since it will be called.
func (m *machine) class(j judged, v value) {
	if v.kind() != isGlobal {
		m.find(hazard.Of("pickle-computed-call", j.String(), fmt.Sprintf("%s calls what is no global by name but %s", j, m.describe(v))).At(m.at))
	}
}

// base is class for one whose __new__ is called with what a state is: some return that.
func (m *machine) base(j judged, v value) {
	m.class(j, v)
	if b, ok := m.heap.global(v); ok && b.check != anyArguments && b.check != isTextOf {
		m.limit(m.at, fmt.Sprintf("%s makes an object by way of %s, which can return what it is given", j, b))
	}
}

// held looks at values that are put into others or given to calls: a function that is
// clean only when its argument is known must not get out of sight, and a type of NumPy
// stays what it is from then on.
func (m *machine) held(items []value) {
	for _, v := range items {
		if j, ok := m.heap.global(v); ok && j.check == isLoad {
			m.find(hazard.Of("pickle-load-from-bytes", j.String(), j.String()+" is handed on to be called with anything").At(m.at))
		}
		if v.marked() {
			if o := m.heap.object(v); o != nil {
				o.used = true
			}
		}
	}
}

// unchanged wants v to be no global: one that is changed is changed for the whole
// program that loads the pickle.
func (m *machine) unchanged(v value) {
	if j, ok := m.heap.global(v); ok {
		m.find(hazard.Of("pickle-global-changed", j.String(), fmt.Sprintf("%s itself is changed, for the whole program that loads this", j)).At(m.at))
	}
}

// build gives the object below its state.
func (m *machine) build() error {
	if err := m.need(2); err != nil {
		return err
	}
	state, object := m.pop(), m.top()
	m.unchanged(object)
	m.held([]value{state})
	m.state(state)
	again := false
	o := m.heap.object(object)
	if o != nil {
		again, o.state = o.given > 0, state
		o.give()
	}
	hooked := m.options.Build != nil && m.nesting == 0 && !m.plain
	switch {
	case o == nil && object.marked() && hooked:
		return breakf("pickle-array-unread", "an array may follow whose wrapper is too far back to be known")
	case o == nil && object.marked():
		m.limit(m.at, "a type of NumPy is given a state, and is too far back to be known")
	case object.marked():
		m.typed(Value{&m.heap, object}, o)
	}
	if !hooked {
		return nil
	}
	m.leaveFrame()
	array, err := m.options.Build(Value{&m.heap, object}, &Follow{m: m, again: again})
	if err != nil {
		return err
	}
	if array {
		m.stack[len(m.stack)-1] = makeValue(isArray, object.id())
	}
	return nil
}

// describe says what a value is, for people.
func (m *machine) describe(v value) string {
	if j, ok := m.heap.global(v); ok {
		return j.String()
	}
	if text, ok := m.heap.text(v); ok {
		const enough = 40
		return fmt.Sprintf("%.*q", enough, text)
	}
	if v.kind() == isCall {
		if o := m.heap.object(v); o != nil {
			if j, ok := m.heap.global(o.fn); ok {
				return "what " + j.String() + " returned"
			}
		}
		return "what a call returned"
	}
	return kinds[v.kind()].words
}
