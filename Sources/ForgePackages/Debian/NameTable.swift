/// Package names and their numbers, in order of first mention, which is the order of apt's package IDs.
struct NameTable: Sendable {
    private var text: [UInt8] = []
    /// Where each name starts in `text`; one more at the end.
    private var starts: [UInt32] = [0]
    /// Open addressing: number of a name plus one, or zero.
    private var slots: [UInt32]

    init() { slots = Array(repeating: 0, count: 1 << 18) }

    var count: Int { starts.count - 1 }

    /// The bytes of a name.
    func bytes(_ id: Int32) -> ArraySlice<UInt8> { text[Int(starts[Int(id)])..<Int(starts[Int(id) + 1])] }

    func name(_ id: Int32) -> String { String(decoding: bytes(id), as: UTF8.self) }

    /// The number of a name, given now if it has none.
    mutating func intern(_ name: UnsafeBufferPointer<UInt8>) -> Int32 {
        var slot = find(name)
        if slots[slot] != 0 { return Int32(slots[slot]) - 1 }
        text.append(contentsOf: name)
        starts.append(UInt32(text.count))
        slots[slot] = UInt32(count)
        if count * 2 > slots.count { grow(&slot) }
        return Int32(count) - 1
    }

    /// The number of a name, if it was ever mentioned.
    func id(_ name: String) -> Int32? {
        var name = name
        return name.withUTF8 { bytes in
            let slot = find(bytes)
            return slots[slot] == 0 ? nil : Int32(slots[slot]) - 1
        }
    }

    private func find(_ name: UnsafeBufferPointer<UInt8>) -> Int {
        var slot = NameTable.hash(name) & (slots.count - 1)
        while slots[slot] != 0 {
            let start = Int(starts[Int(slots[slot]) - 1])
            let length = Int(starts[Int(slots[slot])]) - start
            if length == name.count, text.withUnsafeBufferPointer({ equal($0, start, name) }) { return slot }
            slot = (slot + 1) & (slots.count - 1)
        }
        return slot
    }

    private func equal(_ text: UnsafeBufferPointer<UInt8>, _ start: Int, _ name: UnsafeBufferPointer<UInt8>) -> Bool {
        for i in 0..<name.count where text[start + i] != name[i] { return false }
        return true
    }

    private mutating func grow(_ slot: inout Int) {
        slots = Array(repeating: 0, count: slots.count * 2)
        for id in 0..<count {
            let range = Int(starts[id])..<Int(starts[id + 1])
            slot = text.withUnsafeBufferPointer { NameTable.hash(UnsafeBufferPointer(rebasing: $0[range])) }
            slot &= slots.count - 1
            while slots[slot] != 0 { slot = (slot + 1) & (slots.count - 1) }
            slots[slot] = UInt32(id + 1)
        }
    }

    /// FNV-1a. Decides where a name lies in the table, never an order that anybody sees.
    private static func hash(_ name: UnsafeBufferPointer<UInt8>) -> Int {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in name { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return Int(truncatingIfNeeded: (hash ^ (hash >> 29)) & 0x7fff_ffff)
    }
}
