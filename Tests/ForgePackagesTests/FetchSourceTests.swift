import ForgeBase
import ForgePackages
import ForgeStore
import ForgeSystem
import Testing

/// Where bytes are asked for: documents, local files, snapshots, and what is gone everywhere.
@Suite struct FetchSourceTests {
    let scratch = Scratch()
    let store: any ObjectStore = MemoryStore()
    let body = content(50_000)

    func fetcher(_ change: (inout FetchOptions) -> Void = { _ in }) -> Fetcher {
        Fetcher(partialDirectory: scratch.partial, options: quick(change))
    }

    // MARK: Documents

    @Test func aDocumentComesFromTheFirstPlaceThatHasIt() throws {
        let first = FetchServer { _ in .status(404) }
        let second = FetchServer { [body] _ in .ok(body) }
        let urls = ["\(first.url)/InRelease", "\(second.url)/InRelease"]
        #expect(try fetcher().get(anyOf: urls, limit: 1 << 20) == .found(body, url: urls[1]))
        #expect(!Files.exists(scratch.partial))
    }

    @Test func aDocumentThatNoPlaceHasIsNotFound() throws {
        let server = FetchServer { request in .status(request.path == "/a" ? 404 : 410) }
        let urls = ["\(server.url)/a", "\(server.url)/b", "file://\(scratch.path)/none"]
        #expect(try fetcher().get(anyOf: urls, limit: 100) == .notFound)
        #expect(server.requests.count == 2)
    }

    @Test func aDocumentIsNotMissingWhileAPlaceDidNotAnswer() throws {
        let server = FetchServer { _ in .status(404) }
        let urls = ["\(server.url)/a", "http://127.0.0.1:\(FetchServer.closedPort())/a"]
        let error = failure { _ = try fetcher().get(anyOf: urls, limit: 100) }
        #expect(error?.code == .network)
        #expect(error?.message == "cannot download \(urls[0])")
        #expect(error?.details.first == "\(urls[0]): HTTP status 404 (not there)")
        #expect(error?.details.count == 2)
    }

    @Test func aCutDocumentIsAskedForAnew() throws {
        let server = FetchServer { [body] request in .init(body: body, cutAfter: request.earlier == 0 ? 20_000 : nil) }
        #expect(try fetcher().get("\(server.url)/a", limit: 50_000) == .found(body, url: "\(server.url)/a"))
        #expect(server.requests.map(\.rangeStart) == [nil, nil])
    }

    @Test func anEmptyDocumentIsADocument() throws {
        let server = FetchServer { _ in .ok([]) }
        #expect(try fetcher().get("\(server.url)/a", limit: 0) == .found([], url: "\(server.url)/a"))
    }

    // MARK: Local files

    @Test func localFilesAreReadWithoutBeingMoved() throws {
        try Files.write("\(scratch.path)/a b.deb", body)
        let url = FetchURL.join("file://\(scratch.path)/", "a b.deb")
        try fetcher().fetch([WantedObject(body, url)], into: store)
        #expect(try store.read(Digest.of(body)) == body)
        #expect(try Files.read("\(scratch.path)/a b.deb") == body)
    }

    @Test func aLocalFileOfAnotherSizeIsRefused() throws {
        try Files.write("\(scratch.path)/a", content(49_999))
        let url = "file://\(scratch.path)/a"
        let error = failure { try fetcher().fetch([WantedObject(body, url)], into: store) }
        #expect(error?.code == .verification)
        #expect(error?.details == ["\(url): the file has 49999 bytes there, expected 50000"])
    }

    @Test func aLocalFileFinishesADownload() throws {
        try Files.write("\(scratch.path)/a", body)
        try Files.makeDirectories(scratch.partial)
        try Files.write("\(scratch.partial)/\(Digest.of(body).hex)", Array(body.prefix(10_000)))
        try fetcher().fetch([WantedObject(body, "file://\(scratch.path)/a")], into: store)
        #expect(try store.read(Digest.of(body)) == body)
    }

    // MARK: Gone

    @Test func aSnapshotIsAskedOnlyForWhatIsGone() throws {
        let (kept, gone) = (content(3000, seed: 2), content(4000, seed: 3))
        let mirror = FetchServer { request in request.path == "/kept" ? .ok(kept) : .status(404) }
        let snapshot = FetchServer { _ in .ok(gone) }
        let wanted = [
            WantedObject(kept, "\(mirror.url)/kept", snapshots: ["\(snapshot.url)/kept"]),
            WantedObject(gone, "\(mirror.url)/gone", snapshots: ["\(snapshot.url)/gone"]),
        ]
        try fetcher().fetch(wanted, into: store)
        #expect(snapshot.requests.map(\.path) == ["/gone"])
    }

    @Test func aSnapshotIsNotAskedWhenMirrorsAreDown() throws {
        let snapshot = FetchServer { [body] _ in .ok(body) }
        let object = WantedObject(
            body, "http://127.0.0.1:\(FetchServer.closedPort())/a", snapshots: ["\(snapshot.url)/a"])
        let error = failure { try fetcher().fetch([object], into: store) }
        #expect(error?.code == .network)
        #expect(error?.details.count == 1)
        #expect(snapshot.requests.isEmpty)
    }

    @Test func aSnapshotServiceGetsFewConnections() throws {
        let bodies = (0..<8).map { content(20_000, seed: UInt64($0 + 1)) }
        let mirror = FetchServer { _ in .status(404) }
        let snapshot = FetchServer { request in
            .init(body: bodies[Int(request.path.dropFirst()) ?? 0], delay: 10, pace: 1)
        }
        let wanted = bodies.indices.map {
            WantedObject(bodies[$0], "\(mirror.url)/\($0)", snapshots: ["\(snapshot.url)/\($0)"])
        }
        try fetcher().fetch(wanted, into: store)
        #expect(snapshot.mostActive <= 2)
    }

    @Test func whatIsGoneEverywhereIsOneErrorWithTheWaysOut() throws {
        let mirror = FetchServer { _ in .status(404) }
        let snapshot = FetchServer { _ in .status(404) }
        let wanted = ["a 1.0 (amd64)", "b 2:3.4-1 (all)"].enumerated().map { index, name in
            WantedObject(
                content(100, seed: UInt64(index + 1)), "\(mirror.url)/\(index)",
                snapshots: ["\(snapshot.url)/\(index)"],
                name: name)
        }
        let error = failure { try fetcher().fetch(wanted, into: store, lockedOn: "2026-11-20") }
        #expect(
            error?.description == """
                2 files are no longer offered by the mirrors: a 1.0 (amd64), b 2:3.4-1 (all)
                  the lock is of 2026-11-20
                  a 1.0 (amd64):
                    \(mirror.url)/0: HTTP status 404 (not there)
                    \(snapshot.url)/0 (snapshot): HTTP status 404 (not there)
                  b 2:3.4-1 (all):
                    \(mirror.url)/1: HTTP status 404 (not there)
                    \(snapshot.url)/1 (snapshot): HTTP status 404 (not there)
                  → name a mirror that still has it with --mirror, another snapshot service with --snapshot, or take \
                today's versions with `forge lock --update`
                """)
        #expect(error?.code == .network)
    }

    @Test func oneMissingObjectDoesNotKeepTheOthersOut() throws {
        let server = FetchServer { [body] request in request.path == "/a" ? .status(404) : .ok(body) }
        let wanted = [WantedObject(content(10), "\(server.url)/a", name: "a"), WantedObject(body, "\(server.url)/b")]
        let error = failure { try fetcher().fetch(wanted, into: store) }
        #expect(error?.message == "a is no longer offered by the mirrors")
        #expect(try store.contains(Digest.of(body)))
    }

    @Test func anObjectWithoutPlacesIsAnError() throws {
        let object = WantedObject(name: "a", digest: Digest.of(body), urls: [])
        let error = failure { try fetcher().fetch([object], into: store) }
        #expect(error?.details == ["no place to ask is known"])
    }

    // MARK: URLs

    @Test func pathsAreJoinedAndEscaped() {
        #expect(FetchURL.join("http://h/debian/", "/pool/a_1:2+b~1.deb") == "http://h/debian/pool/a_1:2%2Bb%7E1.deb")
        #expect(FetchURL.join("http://h", "a b/c?d#é") == "http://h/a%20b/c%3Fd%23%C3%A9")
        #expect(FetchURL.join("http://h", "a_1%3a2.deb") == "http://h/a_1%253a2.deb")
    }

    @Test func secretsInURLsAreReplaced() {
        #expect(FetchURL.redacted("https://u:p@h/x@y") == "https://***@h/x@y")
        #expect(FetchURL.redacted("https://u:p@@h?k=v") == "https://***@h?***")
        #expect(FetchURL.redacted("http://h:80/a") == "http://h:80/a")
        #expect(FetchURL.redacted("file:///a/b") == "file:///a/b")
    }
}
