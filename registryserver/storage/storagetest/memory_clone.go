package storagetest

import "maps"

// Clone returns a store with the same content, without uploads. Its clock is that
// of the original until Now is set.
func (m *Memory) Clone() *Memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	clone := NewMemory()
	clone.Now = m.Now
	clone.blobs, clone.records, clone.folders = maps.Clone(m.blobs), maps.Clone(m.records), maps.Clone(m.folders)
	return clone
}
