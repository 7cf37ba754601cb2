package pickle

import "math"

// tuple makes one of items.
func (m *machine) tuple(items []value) value {
	m.held(items)
	return m.heap.newObject(isTuple, object{items: items})
}

// collect makes a container of items.
func (m *machine) collect(op opcode, items []value) error {
	var v value
	switch op {
	case opTuple:
		v = m.tuple(items)
	case opList:
		v = m.heap.newObject(isList, object{})
		m.append(v, items)
	case opDict:
		if len(items)%2 != 0 {
			return malformed("DICT of %d values, which are no pairs", len(items))
		}
		v = m.heap.newObject(isDict, object{})
		m.setItems(v, items)
	default:
		m.held(items)
		v = m.heap.newObject(isSet, object{})
	}
	m.push(v)
	return nil
}

// fill puts values into the one below them.
func (m *machine) fill(op opcode) error {
	var items []value
	switch op {
	case opAppend, opSetItem:
		n := 1
		if op == opSetItem {
			n = 2
		}
		if err := m.need(n + 1); err != nil {
			return err
		}
		items = m.stack[len(m.stack)-n:]
		m.stack = m.stack[:len(m.stack)-n]
	default:
		var err error
		if items, err = m.popMark(); err != nil {
			return err
		}
		if err := m.need(1); err != nil {
			return err
		}
	}
	into := m.top()
	m.unchanged(into)
	if into.kind() == isDict && m.fields[into.id()] {
		m.limit(m.at, "the fields of a type of NumPy are changed when it is in use")
	}
	switch op {
	case opSetItem, opSetItems:
		if len(items)%2 != 0 {
			return malformed("SETITEMS of %d values, which are no pairs", len(items))
		}
		m.setItems(into, items)
	case opAddItems:
		m.held(items)
	default:
		m.append(into, items)
	}
	return nil
}

// append adds elements to a list, or to what a call returned. What is kept of them
// has its index.
func (m *machine) append(into value, items []value) {
	m.held(items)
	o := m.heap.object(into)
	if o == nil {
		return
	}
	for _, item := range items {
		if o.count < math.MaxInt32 && !item.scalar() {
			m.heap.extend(into, 1, integer(int64(o.count)), item)
		} else {
			o.count++
		}
	}
}

// setItems adds keys and values by turns.
func (m *machine) setItems(into value, items []value) {
	m.held(items)
	m.heap.extend(into, len(items)/2, items...)
}
