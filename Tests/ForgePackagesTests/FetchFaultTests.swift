import ForgeBase
import ForgePackages
import ForgeStore
import ForgeSystem
import Glibc
import Testing

/// What goes wrong on the other side, and what people are told.
@Suite struct FetchFaultTests {
    let scratch = Scratch()
    let store: any ObjectStore = MemoryStore()
    let body = content(50_000)

    func fetcher(_ change: (inout FetchOptions) -> Void = { _ in }) -> Fetcher {
        Fetcher(partialDirectory: scratch.partial, options: quick(change))
    }

    @Test func aBusyServerIsAskedAgain() throws {
        let server = FetchServer { [body] request in request.earlier < 3 ? .status(503) : .ok(body) }
        let summary = try fetcher().fetch([WantedObject(body, "\(server.url)/a")], into: store)
        #expect(summary.requests == 4)
    }

    @Test func aServerSaysWhenToComeBack() throws {
        let server = FetchServer { [body] request in
            request.earlier == 0 ? .status(429, [("Retry-After", "1")]) : .ok(body)
        }
        let clock = ContinuousClock()
        let took = try clock.measure { try fetcher().fetch([WantedObject(body, "\(server.url)/a")], into: store) }
        #expect(took >= .seconds(1))
        #expect(server.requests.count == 2)
    }

    @Test func aServerThatAlwaysFailsIsGivenUpForAllItsFiles() throws {
        let server = FetchServer { _ in .status(503) }
        let wanted = (0..<30).map {
            WantedObject(content(100, seed: UInt64($0 + 1)), "\(server.url)/\($0)", name: "f\($0)")
        }
        let error = failure { try fetcher().fetch(wanted, into: store) }
        #expect(error?.code == .network)
        #expect(error?.message == "cannot download 30 files: f0, f1, f2, …")
        #expect(error?.details.first == "f0:")
        #expect(error?.details[safe: 1] == "  \(server.url)/0: HTTP status 503 (the server failed)")
        #expect(error?.details.last == "and 22 more")
        // Four rounds of at most six at a time, not four requests for each of thirty files.
        #expect(server.requests.count <= 24)
    }

    @Test func theNextMirrorIsAskedAtOnce() throws {
        let good = FetchServer { [body] _ in .ok(body) }
        let bad = FetchServer { _ in .status(503) }
        let urls = ["\(bad.url)/a", "http://127.0.0.1:\(FetchServer.closedPort())/a", "\(good.url)/a"]
        let object = WantedObject(name: "x", digest: Digest.of(body), urls: urls)
        let clock = ContinuousClock()
        let took = try clock.measure {
            try fetcher { $0.retryDelay = .seconds(20) }.fetch([object], into: store)
        }
        #expect(took < .seconds(10))
        #expect(bad.requests.count == 1)
        #expect(good.requests.count == 1)
    }

    @Test func aMirrorThatIsDownIsNotTriedForEveryFile() throws {
        let bodies = (0..<20).map { content(500, seed: UInt64($0 + 1)) }
        let good = FetchServer { request in .ok(bodies[Int(request.path.dropFirst()) ?? 0]) }
        let bad = FetchServer { _ in .status(503) }
        let wanted = bodies.indices.map { WantedObject(bodies[$0], "\(bad.url)/\($0)", "\(good.url)/\($0)") }
        try fetcher { $0.retryDelay = .seconds(20) }.fetch(wanted, into: store)
        #expect(bad.requests.count <= 6)
        #expect(good.requests.count == 20)
    }

    @Test func wrongBytesMarkAMirrorAndTheNextOneServes() throws {
        let good = FetchServer { [body] _ in .ok(body) }
        let bad = FetchServer { _ in .ok(content(50_000, seed: 7)) }
        try fetcher().fetch([WantedObject(body, "\(bad.url)/a", "\(good.url)/a")], into: store)
        #expect(bad.requests.count == 1)
        #expect(good.requests.map(\.rangeStart) == [nil])
        #expect(try store.read(Digest.of(body)) == body)
    }

    @Test func wrongBytesEverywhereAreAMatterOfVerification() throws {
        let other = content(50_000, seed: 7)
        let server = FetchServer { _ in .ok(other) }
        let error = failure { try fetcher().fetch([WantedObject(body, "\(server.url)/a")], into: store) }
        #expect(error?.code == .verification)
        #expect(error?.message == "thing 1.0 (amd64): the bytes offered are not those that the lock names")
        #expect(
            error?.details == [
                "\(server.url)/a: wrong bytes: SHA-256 is \(Digest.of(other).hex), expected \(Digest.of(body).hex)"
            ])
        #expect(error?.remedy?.contains("--mirror") == true)
        #expect(try !store.contains(Digest.of(other)))
        #expect(try Files.read("\(scratch.partial)/\(Digest.of(body).hex)").isEmpty)
    }

    @Test func wrongBytesBehindARightBeginningAreBlamedOnWhoSendsThemWhole() throws {
        // The first mirror gives a wrong half and dies; the second, which is right, must not pay for it.
        let other = content(50_000, seed: 7)
        let bad = FetchServer { request in
            request.earlier == 0 ? .init(body: other, cutAfter: 20_000) : .status(404)
        }
        let good = FetchServer { [body] _ in .ok(body) }
        try fetcher().fetch([WantedObject(body, "\(bad.url)/a", "\(good.url)/a")], into: store)
        #expect(good.requests.map(\.rangeStart) == [20_000, nil])
        #expect(try store.read(Digest.of(body)) == body)
    }

    @Test func aFileOfAnotherSizeIsNotDownloaded() throws {
        let server = FetchServer { _ in .ok(content(60_000)) }
        let error = failure { try fetcher().fetch([WantedObject(body, "\(server.url)/a")], into: store) }
        #expect(error?.code == .verification)
        #expect(error?.details == ["\(server.url)/a: the file has 60000 bytes there, expected 50000"])
        #expect(server.requests.count == 1)
    }

    @Test func anEndlessAnswerIsCutAtThePromisedSize() throws {
        let server = FetchServer { _ in .init(body: content(100_000), endless: true) }
        let error = failure { try fetcher().fetch([WantedObject(body, "\(server.url)/a")], into: store) }
        #expect(error?.code == .verification)
        #expect(try Files.read("\(scratch.partial)/\(Digest.of(body).hex)").count <= body.count)
    }

    @Test func anEndlessDocumentIsCutAtItsLimit() throws {
        let server = FetchServer { _ in .init(body: content(100_000), endless: true) }
        let error = failure { _ = try fetcher().get("\(server.url)/Release", limit: 250_000) }
        #expect(error?.code == .network)
        #expect(error?.details == ["\(server.url)/Release: larger than the 250000 bytes that are allowed here"])
    }

    @Test func aContentLengthThatLiesIsACut() throws {
        let server = FetchServer { [body] request in
            .init(body: Array(body.prefix(20_000)), ranges: false, contentLength: 50_000)
        }
        let error = failure { try fetcher().fetch([WantedObject(body, "\(server.url)/a")], into: store) }
        #expect(error?.details == ["\(server.url)/a: the connection ended after 20000 of 50000 bytes"])
        #expect(error?.code == .network)
    }

    @Test func aShortAnswerWithoutContentLengthIsACut() throws {
        let server = FetchServer { [body] request in
            request.earlier == 0 ? .init(body: Array(body.prefix(20_000)), untilClose: true) : .ok(body)
        }
        try fetcher().fetch([WantedObject(body, "\(server.url)/a")], into: store)
        #expect(server.requests.map(\.rangeStart) == [nil, 20_000])
    }

    @Test func aServerThatFallsSilentIsGivenUp() throws {
        let server = FetchServer { [body] _ in .init(body: body, pace: 3000) }
        let error = failure {
            try fetcher {
                $0.stallSeconds = 1
                $0.stallBytesPerSecond = 100_000
                $0.attempts = 1
            }.fetch([WantedObject(body, "\(server.url)/a")], into: store)
        }
        #expect(error?.details == ["\(server.url)/a: no data for 1 s"])
    }

    @Test func aNameWithoutAddressIsSaidToBeOne() throws {
        let url = "http://mirror.invalid/a"
        let error = failure { try fetcher { $0.attempts = 1 }.fetch([WantedObject(body, url)], into: store) }
        #expect(error?.code == .network)
        #expect(error?.details.first?.hasPrefix("\(url): the host name has no address") == true)
        #expect(error?.remedy?.hasPrefix("check the network") == true)
    }

    @Test func aRefusedConnectionIsSaidToBeOne() throws {
        let url = "http://127.0.0.1:\(FetchServer.closedPort())/a"
        let error = failure { try fetcher().fetch([WantedObject(body, url)], into: store) }
        #expect(error?.code == .network)
        #expect(error?.details.first?.hasPrefix("\(url): no connection (") == true)
    }

    @Test func aServerWithoutTLSIsATLSFailure() throws {
        let server = FetchServer { _ in .status(400) }
        let url = "https://127.0.0.1:\(server.port)/a"
        let error = failure { try fetcher { $0.attempts = 1 }.fetch([WantedObject(body, url)], into: store) }
        #expect(error?.details.first?.hasPrefix("\(url): TLS failed") == true)
    }

    @Test func redirectsAreFollowedToHTTPOnly() throws {
        let target = FetchServer { [body] _ in .ok(body) }
        let server = FetchServer { [scratchPath = scratch.path] request in
            switch request.path {
            case "/http": .status(302, [("Location", "\(target.url)/b")])
            case "/circle": .status(302, [("Location", "/circle")])
            default: .status(302, [("Location", "file://\(scratchPath)/secret")])
            }
        }
        try Files.write("\(scratch.path)/secret", body)
        for path in ["circle", "file"] {
            let error = failure { try fetcher().fetch([WantedObject(body, "\(server.url)/\(path)")], into: store) }
            #expect(error?.details.first?.hasPrefix("\(server.url)/\(path): a redirect that is not followed") == true)
        }
        #expect(try !store.contains(Digest.of(body)))
        try fetcher().fetch([WantedObject(body, "\(server.url)/http")], into: store)
        #expect(target.requests.map(\.path) == ["/b"])
    }

    @Test func credentialsAreUsedAndNotShown() throws {
        let server = FetchServer { request in
            request.headers["authorization"] == "Basic bWU6c2VjcmV0" ? .status(403) : .status(401)
        }
        let url = "http://me:secret@127.0.0.1:\(server.port)/a?token=secret"
        let error = failure { try fetcher().fetch([WantedObject(body, url)], into: store) }
        #expect(error?.details == ["http://***@127.0.0.1:\(server.port)/a?***: HTTP status 403 (refused)"])
    }

    @Test func credentialsStayWithTheirHost() throws {
        let target = FetchServer { [body] _ in .ok(body) }
        let server = FetchServer { _ in .status(302, [("Location", "http://localhost:\(target.port)/b")]) }
        let url = "http://me:secret@127.0.0.1:\(server.port)/a"
        try fetcher().fetch([WantedObject(body, url)], into: store)
        #expect(server.requests.first?.headers["authorization"] != nil)
        #expect(target.requests.first?.headers["authorization"] == nil)
    }

    @Test func aFullDiskEndsTheFetchAndSaysSo() throws {
        // /dev/full answers every write as a full disk does.
        try Files.makeDirectories(scratch.partial)
        symlink("/dev/full", "\(scratch.partial)/\(Digest.of(body).hex)")
        let server = FetchServer { [body] _ in .ok(body) }
        let error = failure { try fetcher().fetch([WantedObject(body, "\(server.url)/a")], into: store) }
        #expect(error?.code == .io)
        #expect(error?.message.contains("No space left on device") == true)
        #expect(error?.remedy?.contains("--cache") == true)
        #expect(server.requests.count == 1)
    }
}
