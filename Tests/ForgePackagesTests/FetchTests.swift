import ForgeBase
import ForgePackages
import ForgeStore
import ForgeSystem
import Glibc
import Synchronization
import Testing

@Suite struct FetchTests {
    let scratch = Scratch()
    let store: any ObjectStore = MemoryStore()

    func fetcher(_ change: (inout FetchOptions) -> Void = { _ in }) -> Fetcher {
        Fetcher(partialDirectory: scratch.partial, options: quick(change))
    }

    func leftovers() throws -> [String] {
        Files.exists(scratch.partial) ? try Files.list(scratch.partial).map(\.description) : []
    }

    @Test func manyObjectsComeInAndAreWhatTheyShouldBe() throws {
        let bodies = (0..<40).map { content(1000 + 137 * $0, seed: UInt64($0 + 1)) }
        let server = FetchServer { request in .ok(bodies[Int(request.path.dropFirst()) ?? 0]) }
        let wanted = bodies.indices.map { WantedObject(bodies[$0], "\(server.url)/\($0)", name: "object \($0)") }
        var reports: [FetchProgress] = []
        let summary = try fetcher().fetch(wanted, into: store) { reports.append($0) }
        for body in bodies { #expect(try store.read(Digest.of(body)) == body) }
        #expect(summary.requests == 40)
        #expect(summary.fetched == 40)
        let total = Int64(bodies.map(\.count).reduce(0, +))
        #expect(summary.transferredBytes == total)
        #expect(reports.first == FetchProgress(bytes: 0, totalBytes: total, files: 0, totalFiles: 40))
        #expect(reports.last == FetchProgress(bytes: total, totalBytes: total, files: 40, totalFiles: 40))
        #expect(try leftovers().isEmpty)
    }

    @Test func whatTheStoreHasIsNotAskedFor() throws {
        let body = content(5000)
        let server = FetchServer { _ in .ok(body) }
        _ = try store.put(body)
        let summary = try fetcher().fetch([WantedObject(body, "\(server.url)/a")], into: store)
        #expect(summary == FetchSummary(present: 1))
        #expect(server.requests.isEmpty)
        #expect(!Files.exists(scratch.partial))
    }

    @Test func oneObjectWantedTwiceIsFetchedOnce() throws {
        let body = content(5000)
        let server = FetchServer { _ in .ok(body) }
        let object = WantedObject(body, "\(server.url)/a")
        #expect(try fetcher().fetch([object, object], into: store).requests == 1)
    }

    @Test func connectionsOfAHostAreLimited() throws {
        let bodies = (0..<12).map { content(20_000, seed: UInt64($0 + 1)) }
        let server = FetchServer { request in
            .init(body: bodies[Int(request.path.dropFirst()) ?? 0], delay: 20, pace: 2)
        }
        let wanted = bodies.indices.map { WantedObject(bodies[$0], "\(server.url)/\($0)") }
        try fetcher { $0.connectionsPerHost = 3 }.fetch(wanted, into: store)
        #expect(server.mostActive == 3)
    }

    @Test(arguments: [100, 100_000])
    func aStoreOnDiskHasWhatCameIn(_ size: Int) throws {
        let cache = scratch.path + "/cache"
        let body = content(size)
        let server = FetchServer { _ in .ok(body) }
        let fetcher = Fetcher(partialDirectory: cache + "/partial", options: quick())
        let object = WantedObject(body, "\(server.url)/a")
        let store = try Store(directory: cache)
        try fetcher.fetch([object], into: store)
        // Another process sees it at once.
        #expect(try Store(directory: cache, readOnly: true).read(object.digest) == body)
        #expect(try Files.list(cache + "/partial").isEmpty)
        #expect(try fetcher.fetch([object], into: store).requests == 0)
    }

    // MARK: Resume

    @Test func aCutTransferGoesOnWhereItStopped() throws {
        let body = content(300_000)
        let server = FetchServer { request in .init(body: body, cutAfter: request.earlier == 0 ? 100_000 : nil) }
        let summary = try fetcher().fetch([WantedObject(body, "\(server.url)/a")], into: store)
        #expect(try store.read(Digest.of(body)) == body)
        #expect(server.requests.map(\.rangeStart) == [nil, 100_000])
        #expect(server.sent("/a") == body.count)
        #expect(summary.transferredBytes == Int64(body.count))
    }

    @Test func aDownloadOfAnEarlierProcessGoesOn() throws {
        let body = content(300_000)
        try Files.makeDirectories(scratch.partial)
        try Files.write("\(scratch.partial)/\(Digest.of(body).hex)", Array(body.prefix(200_000)))
        let server = FetchServer { _ in .ok(body) }
        var first: FetchProgress?
        let summary = try fetcher().fetch([WantedObject(body, "\(server.url)/a")], into: store) {
            if first == nil, $0.bytes > 0 { first = $0 }
        }
        #expect(server.requests.map(\.rangeStart) == [200_000])
        #expect(summary.transferredBytes == 100_000)
        #expect(first.map { $0.bytes >= 200_000 } == true)
        #expect(try leftovers().isEmpty)
    }

    @Test func aCompletePartialFileNeedsNoNetwork() throws {
        let body = content(70_000)
        try Files.makeDirectories(scratch.partial)
        try Files.write("\(scratch.partial)/\(Digest.of(body).hex)", body)
        let summary = try fetcher().fetch(
            [WantedObject(body, "http://127.0.0.1:\(FetchServer.closedPort())/a")], into: store)
        #expect(summary.requests == 0)
        #expect(try store.read(Digest.of(body)) == body)
    }

    @Test func aSpoiledPartialFileCostsOneMoreRequestAndBlamesNobody() throws {
        let body = content(300_000)
        try Files.makeDirectories(scratch.partial)
        try Files.write("\(scratch.partial)/\(Digest.of(body).hex)", content(200_000, seed: 99))
        let server = FetchServer { _ in .ok(body) }
        try fetcher().fetch([WantedObject(body, "\(server.url)/a")], into: store)
        #expect(server.requests.map(\.rangeStart) == [200_000, nil])
        #expect(try store.read(Digest.of(body)) == body)
    }

    @Test func aPartialFileThatIsTooLongIsThrownAway() throws {
        let body = content(1000)
        try Files.makeDirectories(scratch.partial)
        try Files.write("\(scratch.partial)/\(Digest.of(body).hex)", content(2000))
        let server = FetchServer { _ in .ok(body) }
        try fetcher().fetch([WantedObject(body, "\(server.url)/a")], into: store)
        #expect(server.requests.map(\.rangeStart) == [nil])
    }

    @Test func aServerWithoutRangesSendsTheWholeAgain() throws {
        let body = content(300_000)
        let server = FetchServer { request in
            .init(body: body, cutAfter: request.earlier == 0 ? 100_000 : nil, ranges: false)
        }
        try fetcher().fetch([WantedObject(body, "\(server.url)/a")], into: store)
        #expect(server.requests.map(\.rangeStart) == [nil, 100_000])
        #expect(server.sent("/a") == 100_000 + body.count)
        #expect(try store.read(Digest.of(body)) == body)
    }

    @Test func aRangeOfOtherBytesThanAskedIsNotTaken() throws {
        let body = content(300_000)
        let server = FetchServer { request in
            request.earlier == 1
                ? .init(
                    status: 206, body: Array(body.dropFirst(50)),
                    headers: [("Content-Range", "bytes 50-299999/300000")])
                : .init(body: body, cutAfter: request.earlier == 0 ? 100_000 : nil)
        }
        try fetcher().fetch([WantedObject(body, "\(server.url)/a")], into: store)
        #expect(try store.read(Digest.of(body)) == body)
        #expect(server.requests.map(\.rangeStart) == [nil, 100_000, nil])
    }

    @Test func aLineThatBreaksAllTheTimeButMovesArrives() throws {
        let body = content(1_500_000)
        let server = FetchServer { _ in .init(body: body, cutAfter: 100_000) }
        let summary = try fetcher { $0.attempts = 2 }.fetch([WantedObject(body, "\(server.url)/a")], into: store)
        #expect(summary.requests == 15)
        #expect(server.sent("/a") == body.count)
    }

    @Test func aLineThatDoesNotMoveIsGivenUp() throws {
        let body = content(300_000)
        let server = FetchServer { _ in .init(body: body, cutAfter: 0) }
        let error = failure {
            try fetcher { $0.attempts = 3 }.fetch([WantedObject(body, "\(server.url)/a")], into: store)
        }
        #expect(server.requests.count == 3)
        #expect(error?.code == .network)
        #expect(error?.details == ["\(server.url)/a: the connection ended after 0 of 300000 bytes"])
    }

    @Test func twoFetchersOfOneDirectoryShareTheWork() throws {
        let body = content(400_000)
        let server = FetchServer { _ in .init(body: body, pace: 5) }
        let wanted = [WantedObject(body, "\(server.url)/a")]
        let other = fetcher()
        let (store, done) = (self.store, Done())
        start {
            _ = try? other.fetch(wanted, into: store)
            done.set()
        }
        while server.sent("/a") == 0 { usleep(1000) }
        let summary = try fetcher().fetch(wanted, into: store)
        done.wait()
        #expect(summary.requests == 0)
        #expect(server.requests.count == 1)
        #expect(try leftovers().isEmpty)
    }

    @Test func aCancelledDownloadLeavesAValidPrefix() throws {
        let body = content(2_000_000)
        let server = FetchServer { _ in .init(body: body, pace: 3) }
        let wanted = [WantedObject(body, "\(server.url)/a")]
        let error = failure {
            try fetcher { $0.isCancelled = { server.sent("/a") > 200_000 } }.fetch(wanted, into: store)
        }
        #expect(error?.code == .interrupted)
        let partial = try Files.read("\(scratch.partial)/\(Digest.of(body).hex)")
        #expect(partial.count > 0 && partial[...] == body.prefix(partial.count))
        let fast = FetchServer { _ in .ok(body) }
        try fetcher().fetch([WantedObject(body, "\(fast.url)/a")], into: store)
        #expect(fast.requests.map(\.rangeStart) == [partial.count])
    }
}

/// A flag that one thread sets and another waits for.
final class Done: Sendable {
    private let flag = Atomic(false)
    func set() { flag.store(true, ordering: .releasing) }
    func wait() { while !flag.load(ordering: .acquiring) { usleep(1000) } }
}
