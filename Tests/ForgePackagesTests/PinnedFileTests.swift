import ForgeBase
import ForgePackages
import ForgeStore
import ForgeSystem
import Glibc
import Testing

/// Files that a recipe pins by SHA-256, most often without saying how long they are.
@Suite struct PinnedFileTests {
    let scratch = Scratch()
    let store: any ObjectStore = MemoryStore()
    let body = content(50_000)

    func fetch(
        _ urls: String..., size: Int64? = nil, of bytes: [UInt8]? = nil,
        _ change: (inout FetchOptions) -> Void = { _ in }
    ) throws -> Digest {
        let wanted = PinnedFile(
            name: "https://a.example/x", sha256: Digest.of(bytes ?? body).hex, size: size, urls: urls)
        return try Fetcher(partialDirectory: scratch.partial, options: quick(change)).fetch(wanted, into: store)
    }

    @Test func theRightBytesComeInWithOrWithoutASize() throws {
        let server = FetchServer { [body] _ in .ok(body) }
        let digest = try fetch("\(server.url)/x")
        #expect(digest == Digest.of(body))
        #expect(try store.read(digest) == body)
        #expect(try Files.list(scratch.partial).isEmpty)
        // With a size the store is asked first.
        #expect(try fetch("\(server.url)/x", size: 50_000) == digest)
        #expect(server.requests.count == 1)
    }

    @Test func anEmptyFileIsAFile() throws {
        let server = FetchServer { _ in .ok([]) }
        #expect(try fetch("\(server.url)/x", of: []) == Digest.of([]))
    }

    @Test func wrongBytesAreRefusedInTheWordsOfTheRecipe() throws {
        let other = content(50_000, seed: 9)
        let server = FetchServer { _ in .ok(other) }
        let error = failure { _ = try fetch("\(server.url)/x") }
        #expect(error?.code == .verification)
        #expect(error?.message == "https://a.example/x: the bytes offered are not those that the recipe names")
        #expect(
            error?.details == [
                "\(server.url)/x: wrong bytes: SHA-256 is \(Digest.of(other).hex), expected \(Digest.of(body).hex)"
            ])
        #expect(error?.remedy?.contains("put the new sha256 into the recipe") == true)
        #expect(server.requests.count == 1, "other bytes are no passing trouble")
        #expect(try !store.contains(Digest.of(other)))
    }

    @Test func aFileThatIsNotThereIsNotAskedForTwice() throws {
        let server = FetchServer { _ in .status(404) }
        let error = failure { _ = try fetch("\(server.url)/x") }
        #expect(error?.code == .network && error?.message == "https://a.example/x is not there")
        #expect(error?.details == ["\(server.url)/x: HTTP status 404 (not there)"])
        #expect(error?.remedy == "correct the address, or name another place that has it: `url` takes a list")
        #expect(server.requests.count == 1)
    }

    @Test func aCutTransferGoesOnWhereItStopped() throws {
        let server = FetchServer { [body] request in
            var reply = FetchServer.Reply.ok(body)
            if request.earlier == 0 { reply.cutAfter = 20_000 }
            return reply
        }
        #expect(try fetch("\(server.url)/x") == Digest.of(body))
        #expect(server.requests.map(\.rangeStart) == [nil, 20_000])
    }

    @Test func aTransferThatIsAlwaysCutIsGivenUp() throws {
        let server = FetchServer { [body] _ in
            var reply = FetchServer.Reply.ok(body)
            reply.cutAfter = 100
            reply.ranges = false
            return reply
        }
        let error = failure { _ = try fetch("\(server.url)/x") }
        #expect(error?.code == .network && error?.message == "cannot download https://a.example/x")
        #expect(error?.details == ["\(server.url)/x: the connection ended after 100 bytes"])
        #expect(error?.remedy?.contains("--mirror HOST=URL") == true)
        #expect(server.requests.count == 4, "four tries")
    }

    /// A process that died between the last byte and the move leaves the whole file: it is known by its digest alone.
    @Test func aWholePartialFileNeedsNoTransfer() throws {
        let server = FetchServer { _ in .status(500) }
        try Files.makeDirectories(scratch.partial)
        try Files.write("\(scratch.partial)/\(Digest.of(body).hex)", body)
        #expect(try fetch("\(server.url)/x") == Digest.of(body))
        #expect(server.requests.isEmpty)
    }

    @Test func theNextPlaceIsAsked() throws {
        let good = FetchServer { [body] _ in .ok(body) }
        let wrong = FetchServer { _ in .ok(content(10)) }
        let gone = FetchServer { _ in .status(410) }
        #expect(try fetch("\(wrong.url)/x", "\(gone.url)/x", "\(good.url)/x") == Digest.of(body))
    }

    @Test func busyServersAreAskedAgainLaterAndLater() throws {
        let server = FetchServer { [body] request in request.earlier < 3 ? .status(503) : .ok(body) }
        let clock = ContinuousClock()
        let took = try clock.measure { _ = try fetch("\(server.url)/x") { $0.retryDelay = .milliseconds(100) } }
        #expect(server.requests.count == 4)
        #expect(took >= .milliseconds(700), "100, 200 and 400 ms")
    }

    @Test func placesOfAHostGoBeforeItself() {
        let mirrors = [
            ("a.example", ["https://m/a", "file:///srv/a"]), ("debian", ["https://d"]),
            ("b-example-8080", ["https://m/b"]),
        ]
        #expect(
            FetchURL.places(of: "https://a.example/x/y?z", mirrors: mirrors) == [
                "https://m/a/x/y?z", "file:///srv/a/x/y?z", "https://a.example/x/y?z",
            ])
        #expect(
            FetchURL.places(of: "http://B.example:8080/x", mirrors: mirrors) == [
                "https://m/b/x", "http://B.example:8080/x",
            ])
        #expect(FetchURL.places(of: "file:///debian/x", mirrors: mirrors) == ["file:///debian/x"])
        #expect(FetchURL.localPath("file:///a%20b/c%") == "/a b/c%")
    }
}
