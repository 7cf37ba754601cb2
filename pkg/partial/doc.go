// Package partial is a blob on its way to the disk: its bytes come in any order,
// over many connections and many processes, and are hashed in order behind them.
// Only when all of them are there and hash to the digest does it give a [Whole],
// which is what stores and directories take.
package partial
