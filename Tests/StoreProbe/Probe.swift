import ForgeBase
import ForgeStore
import ForgeSystem
import Glibc
import StoreSamples

/// What the tests of `ForgeStore` run in processes of their own, to be killed, starved or set upon each other.
///
/// `forge-store-probe VERB CACHE ARGUMENT…`
@main
struct Probe {
    static func main() {
        do {
            try run(Array(CommandLine.arguments.dropFirst()))
            exit(0)
        } catch {
            print("error: \(error)")
            exit((error as? ForgeError)?.code.rawValue ?? 70)
        }
    }

    static func run(_ words: [String]) throws {
        guard words.count >= 2 else { throw ForgeError(.badInput, "VERB CACHE ARGUMENT…") }
        let (verb, cache, rest) = (words[0], words[1], Array(words.dropFirst(2)))
        func number(_ index: Int) -> Int { index < rest.count ? Int(rest[index]) ?? 0 : 0 }
        func text(_ index: Int) -> String { index < rest.count ? rest[index] : "" }
        switch verb {
        case "open": _ = try Store(directory: cache).statistics()
        case "work":
            let store = try Store(directory: cache)
            for item in number(0)..<(number(0) + number(1)) { _ = try Sample(item).make(in: store) }
        case "build": try build(cache, number(0))
        case "collect": _ = try Store(directory: cache).collect(CollectionPolicy(maxSize: Int64(number(0))))
        case "pin":
            let sample = Sample(number(0))
            try Store(directory: cache).pin("kept", [(sample.largeDigest, .file)], actions: [sample.key])
        case "repair": _ = try Store.repair(directory: cache)
        case "heal":
            let sample = Sample(number(0))
            _ = try Store(directory: cache).heal([(sample.largeDigest, .file), (sample.smallDigest, .file)])
        case "export":
            let sample = Sample(number(0))
            let closure = BuildClosure(about: [], actions: [("sample", sample.key)], objects: [])
            _ = try Store(directory: cache).export(closure, to: text(1))
        case "import": _ = try Store(directory: cache).takeIn(text(0))
        case "hammer":
            var hammer = Hammer(cache, seed: number(0))
            try hammer.run(rounds: number(1))
        default: throw ForgeError(.badInput, "no verb \(verb)")
        }
    }

    /// What a build does with the store around one action: hold, adopt a download, make, check out, record, publish.
    static func build(_ cache: String, _ number: Int) throws {
        let store = try Store(directory: cache)
        let use = try store.hold()
        defer { withExtendedLifetime(use) {} }
        let sample = Sample(number)
        let scratch = try store.makeScratch("build")
        try Files.write(scratch.path + "/download", sample.bytes("download", 17_000))
        try store.adopt(file: scratch.path + "/download", as: Digest.of(sample.bytes("download", 17_000)))
        let tree = try sample.make(in: store)
        let checkout = try Checkouts(store, map: "root", owner: .ignore).open(tree, jobs: 1)
        store.setMemo("probe", [UInt8(truncatingIfNeeded: number)], Array("remembered".utf8))
        try store.recordBuild(
            BuildRecord(recipe: "sample", cell: "default", parameters: "", started: 1, seconds: 1, outcome: "done"),
            actions: [BuildAction(name: "sample", position: 0, key: sample.key, outcome: .ran, seconds: 1)],
            parts: [sample.key: [KeyPart(name: "number", value: "\(number)")]], state: KeyState())
        try store.export(sample.largeDigest, to: scratch.path + "/artifact", mode: 0o644)
        try store.flush()
        withExtendedLifetime(checkout) {}
    }
}

/// One of several processes that all do everything at once with one cache.
struct Hammer {
    private let cache: String
    private var dice: Dice

    /// The same numbers for the same seed (SplitMix64).
    private struct Dice: RandomNumberGenerator {
        var state: UInt64

        mutating func next() -> UInt64 {
            state &+= 0x9e37_79b9_7f4a_7c15
            var z = state
            z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
            z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
            return z ^ (z >> 31)
        }
    }

    init(_ cache: String, seed: Int) {
        self.cache = cache
        dice = Dice(state: UInt64(seed))
    }

    /// Results that all processes share.
    static let shared = 12

    mutating func run(rounds: Int) throws {
        var (made, found, collected, verified) = (0, 0, 0, 0)
        for round in 0..<rounds {
            let store = try Store(directory: cache)
            do {
                // A build: what it has seen or made must stay until it ends.
                let use = try store.hold()
                defer { withExtendedLifetime(use) {} }
                var seen: [Sample] = []
                for _ in 0..<4 {
                    let sample = Sample(Int.random(in: 0..<Hammer.shared, using: &dice))
                    if let result = try store.lookup(sample.key) {
                        try sample.check(result, in: store)
                        found += 1
                    } else {
                        let tree = try sample.make(in: store)
                        made += 1
                        if round % 3 == 0 {
                            let checkouts = try Checkouts(store, map: "root", owner: .ignore)
                            let made = try checkouts.open(tree, jobs: 1)
                            guard try Files.read(made.path + "/large") == sample.large else {
                                throw ForgeError(.bug, "\(sample.number) was checked out with other bytes")
                            }
                        }
                    }
                    seen.append(sample)
                    for sample in seen {
                        guard let result = try store.lookup(sample.key) else {
                            throw ForgeError(.bug, "the result of \(sample.number) is lost")
                        }
                        try sample.check(result, in: store)
                    }
                }
            }
            // Collections find their moment when all pause.
            usleep(UInt32.random(in: 0..<150_000, using: &dice))
            switch Int.random(in: 0..<4, using: &dice) {
            case 0, 1:
                let most = Int64.random(in: 0..<200_000, using: &dice)
                // Somebody builds nearly always.
                for _ in 0..<20 {
                    guard try store.collectIfFree(CollectionPolicy(maxSize: most)) == nil else {
                        collected += 1
                        break
                    }
                    usleep(3000)
                }
            case 2:
                let damage = try store.verify(jobs: 1)
                if !damage.isEmpty { throw ForgeError(.bug, "damage: \(damage)") }
                verified += 1
            default:
                let sample = Sample(Int.random(in: 0..<Hammer.shared, using: &dice))
                try store.pin("hammer", [], actions: [sample.key])
                _ = try store.unpin("hammer")
            }
        }
        print("\(made) made, \(found) found, \(collected) collections, \(verified) checks")
    }
}
