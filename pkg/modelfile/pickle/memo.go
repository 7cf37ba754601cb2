package pickle

// pool is the memory of all memos of a scan, nested pickles included.
type pool struct {
	budget int64 // bytes that may still be kept
	spare  []*page
}

type page [pageSize]value

const pageBytes = 8 * pageSize

// take returns an empty page, nil when there is no room for one.
func (p *pool) take() *page {
	if p.budget < pageBytes {
		return nil
	}
	p.budget -= pageBytes
	if n := len(p.spare); n > 0 {
		last := p.spare[n-1]
		p.spare = p.spare[:n-1]
		*last = page{}
		return last
	}
	return new(page)
}

// give takes the pages of a memo back.
func (p *pool) give(m *memo) {
	for _, used := range m.pages {
		if used != nil {
			p.spare = append(p.spare, used)
			p.budget += pageBytes
		}
	}
	*m = memo{}
}

// memo is what PUT and MEMOIZE keep for GET, by number.
type memo struct {
	pages []*page
	far   map[uint32]value // of numbers beyond memoSize
	count uint32           // of the values
}

const (
	// memoSize bounds the numbers that are kept in their order.
	memoSize = 1_000_000
	// memoFar bounds those beyond: no writer leaves holes.
	memoFar = 1024
	// absent marks a number that was not put.
	absent value = 0
)

// put keeps v and tells whether there was room.
func (m *memo) put(i uint32, v value, p *pool) bool {
	if i >= memoSize {
		if m.far == nil {
			m.far = map[uint32]value{}
		}
		if _, there := m.far[i]; !there {
			if len(m.far) >= memoFar {
				return false
			}
			m.count++
		}
		m.far[i] = v | present
		return true
	}
	at := int(i / pageSize)
	for len(m.pages) <= at {
		m.pages = append(m.pages, nil)
	}
	if m.pages[at] == nil {
		if m.pages[at] = p.take(); m.pages[at] == nil {
			return false
		}
	}
	slot := &m.pages[at][i%pageSize]
	if *slot == absent {
		m.count++
	}
	*slot = v | present
	return true
}

// present is set in what is put, since a value that is unknown is 0.
const present = value(1) << 63

func (m *memo) get(i uint32) (value, bool) {
	v := absent
	if i >= memoSize {
		v = m.far[i]
	} else if page := int(i / pageSize); page < len(m.pages) && m.pages[page] != nil {
		v = m.pages[page][i%pageSize]
	}
	return v &^ present, v != absent
}
