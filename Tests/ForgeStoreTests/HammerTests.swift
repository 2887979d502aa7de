import ForgeBase
import ForgeSystem
import StoreSamples
import Testing

@testable import ForgeStore

/// Processes that build, look up, check, pin and collect in one cache at once.
@Suite(.serialized) struct HammerTests {
    @Test(arguments: [2, 8]) func manyProcessesOnOneCache(_ processes: Int) throws {
        let space = try TestSpace(inMemory: true)
        let said = Locked<[String]>([])
        try Threads.forEach(processes, width: processes) { number in
            let done = try Tools.run(Tools.probe, ["hammer", space("cache"), "\(number)", "8"])
            said.withLock { $0.append(done.text) }
            #expect(done.code == 0, "\(done.text)")
        }
        let store = try space.store()
        #expect(try store.verify().isEmpty)
        for number in 0..<12 { try Sample(number).make(in: store) }
        // The same as one process makes alone.
        let alone = try Store(directory: space("alone"))
        for number in 0..<12 { try Sample(number).make(in: alone) }
        #expect(try Contents(store, samples: 0..<12) == Contents(alone, samples: 0..<12))
        #expect(try Files.list(space("cache/tmp")).allSatisfy { $0 == ".lock" || $0.description.hasPrefix("store-") })
        print("\(processes) processes: " + said.withLock { $0 }.map { $0.dropLast() }.joined(separator: "; "))
    }
}
