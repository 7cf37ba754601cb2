package trust

// LockForTest locks a store as another process would.
var LockForTest = lockDir
