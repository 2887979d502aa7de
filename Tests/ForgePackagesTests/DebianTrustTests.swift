import ForgeBase
import ForgeStore
import ForgeSystem
import Testing

@testable import ForgePackages

/// Archives that lie, are old, are damaged or are signed by somebody else.
@Suite struct DebianTrustTests {
    func archive(_ prepare: (TinyArchive) throws -> Void = { _ in }) throws -> TinyArchive {
        let archive = TinyArchive()
        archive.suites["moss"] = [TinyArchive.package("base", "1.0", ["Essential": "yes"])]
        try prepare(archive)
        try archive.publish()
        return archive
    }

    func refusal(of archive: TinyArchive, _ request: DebianRequest? = nil) -> ForgeError? {
        let error = failure { _ = try archive.lock(request ?? archive.request([])) }
        // The path of the mirror differs in every run.
        return error.map { error in
            func plain(_ text: String) -> String {
                text.replacing(archive.url, with: "U").replacing(archive.scratch.path, with: "T")
            }
            var plainError = error
            plainError.message = plain(error.message)
            plainError.details = error.details.map(plain)
            plainError.remedy = error.remedy.map(plain)
            if let location = error.location { plainError.location?.file = plain(location.file) }
            return plainError
        }
    }

    @Test func anAlteredIndexIsRefused() throws {
        let archive = try archive()
        try archive.edit("moss/main/binary-amd64/Packages") { $0.replacing("1.0", with: "6.6") }
        // Without the name by digest, which still has the right bytes.
        try Files.remove(archive.scratch.path + "/mirror/dists/moss/main/binary-amd64/by-hash")
        let error = refusal(of: archive)
        #expect(error?.code == .verification)
        #expect(
            error?.message
                == "U/dists/moss/main/binary-amd64/Packages is not the file that the signed Release file lists")
        #expect(error?.details.count == 3)
        #expect(error?.remedy == "try again in some minutes, or use another mirror with --mirror ARCHIVE=URL")
    }

    @Test func theNameByDigestIsUsedInTheMiddleOfAnUpdate() throws {
        let archive = try archive()
        try archive.edit("moss/main/binary-amd64/Packages") { $0 + "\n" }
        #expect(try archive.lock(archive.request([])).entry.list == ["base 1.0"])
    }

    @Test func anIndexIsTakenByItsPathWhereTheDigestsAreMissing() throws {
        let archive = TinyArchive()
        archive.suites["moss"] = [TinyArchive.package("base", "1.0", ["Essential": "yes"])]
        try archive.publish(byHash: false)
        #expect(try archive.lock(archive.request([])).entry.list == ["base 1.0"])
    }

    @Test func aMissingIndexIsReported() throws {
        let archive = try archive()
        try Files.remove(archive.scratch.path + "/mirror/dists/moss/main")
        let error = refusal(of: archive)
        #expect(error?.code == .network)
        #expect(error?.message == "U/dists/moss/main/binary-amd64/Packages is missing")
    }

    @Test func anAlteredReleaseFileIsRefused() throws {
        let archive = try archive()
        try archive.edit("moss/InRelease") { $0.replacing("Components: main", with: "Components: mail") }
        let error = refusal(of: archive)
        #expect(error?.message == "the signature of U/dists/moss/InRelease does not fit its text")
        #expect(error?.details.last == "the file was altered, or damaged on its way")
    }

    @Test(arguments: ["Origin: evil\n\n%", "%\nOrigin: evil\n", "%%", "<html>Please log in</html>", ""])
    func textAroundTheSignedOneIsRefused(_ form: String) throws {
        let archive = try archive()
        try archive.edit("moss/InRelease") { text in form.replacing("%", with: text) }
        let error = refusal(of: archive)
        #expect(error?.message == "U/dists/moss/InRelease is not one clear-signed text")
        #expect(error?.code == .verification)
    }

    @Test func aKeyThatTheKeyringLacksIsNamed() throws {
        let archive = try archive()
        archive.keyring = try TestKeys.shared.get().revoked
        let error = refusal(of: archive)
        #expect(error?.message == "U/dists/moss/InRelease is signed by keys that the keyring lacks")
        #expect(error?.details.first?.hasPrefix("no key ") == true)
        #expect(
            error?.remedy
                == "put a newer keyring at T/keys.gpg; or name the archive's own keyring in the recipe (`keyring:`)")
    }

    @Test func anExpiredKeyIsCalledExpired() throws {
        let archive = try archive {
            $0.signer = "expired"
            $0.gpg = "--faked-system-time 20210102T000000"
        }
        archive.keyring = try TestKeys.shared.get().expired
        let error = refusal(of: archive)
        #expect(error?.message == "U/dists/moss/InRelease is signed by a key that has expired")
        #expect(error?.details.first?.contains("expired@example.org") == true)
        #expect(error?.remedy == "put a newer keyring at T/keys.gpg; it may hold the key with its new expiry date")
    }

    @Test func aRevokedKeyIsCalledRevoked() throws {
        let archive = try archive { $0.signer = "revoked" }
        archive.keyring = try TestKeys.shared.get().revoked
        let error = refusal(of: archive)
        #expect(error?.message == "U/dists/moss/InRelease is signed by a key that its owner has revoked")
    }

    @Test func aSignatureOverABrokenHashIsRefused() throws {
        let archive = try archive { $0.gpg = "--digest-algo SHA1" }
        let error = refusal(of: archive)
        #expect(error?.code == .verification)
        #expect(
            error?.message == "U/dists/moss/InRelease is signed over a hash that is broken (MD5, SHA-1 or RIPEMD-160)")
    }

    @Test func anExpiredReleaseFileIsRefusedUnlessAllowed() throws {
        let archive = try archive { $0.release["Valid-Until"] = "Mon, 21 Sep 2026 14:14:00 UTC" }
        archive.now = 1_790_010_000
        let error = refusal(of: archive)
        #expect(error?.message == "U/dists/moss/InRelease has expired")
        #expect(
            error?.details.prefix(2) == [
                "it was valid until 2026-09-21 14:14:00 UTC", "now it is 2026-09-21 17:00:00 UTC",
            ])
        #expect(error?.remedy?.contains("--allow-expired") == true)
        archive.allowsExpired = true
        #expect(try archive.lock(archive.request([])).entry.list == ["base 1.0"])
    }

    @Test func aReleaseFileOfTheFutureIsRefused() throws {
        let archive = try archive()
        archive.now = archive.date - 601
        let error = refusal(of: archive)
        #expect(error?.message == "U/dists/moss/InRelease is from the future")
        archive.now = archive.date - 599
        _ = try archive.lock(archive.request([]))
    }

    @Test func anotherSuiteUnderTheNameThatWasAskedForIsRefused() throws {
        let archive = try archive { $0.release["Codename"] = "fern" }
        let error = refusal(of: archive)
        #expect(error?.message == "U/dists/moss/InRelease is of another suite than “moss”")
        #expect(error?.details == ["Suite: stable, Codename: fern"])
    }

    @Test func aMissingSuiteComponentOrArchitectureIsNamed() throws {
        let archive = try archive()
        let suite = DebianRequest.Suite(archive: "tiny", suite: "fern")
        #expect(refusal(of: archive, archive.request([], suites: [suite]))?.message == "there is no suite “fern” at U")
        let component = DebianRequest.Suite(archive: "tiny", suite: "moss", components: ["mian"])
        let error = refusal(of: archive, archive.request([], suites: [component]))
        #expect(error?.message == "U/dists/moss/InRelease has no component “mian”")
        #expect(error?.remedy == "correct `components` in the recipe; did you mean “main”?")
        var request = archive.request([])
        request.architecture = "riscv64"
        #expect(refusal(of: archive, request)?.message == "U/dists/moss/InRelease has no packages for riscv64")
    }

    @Test func anUnsignedArchiveIsRefused() throws {
        let archive = try archive()
        let folder = archive.scratch.path + "/mirror/dists/moss"
        try Files.remove(folder + "/InRelease")
        _ = try archive.lock(archive.request([]))
        try Files.remove(folder + "/Release.gpg")
        #expect(refusal(of: archive)?.message == "U/dists/moss/InRelease is not signed")
    }

    @Test func aReleaseFileWithOldSumsOnlyIsRefused() throws {
        let archive = try archive { $0.release["SHA256"] = "" }
        #expect(refusal(of: archive)?.message == "U/dists/moss/InRelease lists no SHA-256 sums")
    }

    @Test func aSecondMirrorStandsInForABrokenOne() throws {
        let archive = try archive()
        let broken = try self.archive()
        try broken.edit("moss/InRelease") { $0.replacing("main", with: "mail") }
        let reader = try archive.locker().reader
        let mirrors = Mirrors(archives: ["tiny": [broken.url, archive.url]])
        let locker = DebianLocker(reader: reader, mirrors: mirrors, recipeFolder: archive.scratch.path)
        let outcome = try locker.lock(
            id: "a", parameters: [:], request: archive.request([]), previous: nil, update: .none)
        #expect(outcome.entry.list == ["base 1.0"])
    }

    @Test func armoredKeyringsAreRead() throws {
        let keys = try TestKeys.shared.get()
        let output = try Shell.run("gpg --homedir \(keys.home) --batch --armor --export good@example.org")
        let archive = try archive()
        archive.keyring = Keyring(name: "armored", bytes: Array(output.text.utf8))
        #expect(try archive.lock(archive.request([])).entry.list == ["base 1.0"])
        archive.keyring = Keyring(name: "junk", bytes: Array("no keys here".utf8))
        #expect(refusal(of: archive)?.message == "keyring T/keys.gpg has no OpenPGP keys in it")
        archive.keyring = Keyring(name: "binary junk", bytes: [0x99, 0, 1, 2])
        #expect(refusal(of: archive)?.code == .verification)
    }

    @Test func aMissingKeyringIsNamed() throws {
        let error = failure { _ = try Keyring(file: "/nonexistent/keys.gpg") }
        #expect(error?.message == "there is no keyring /nonexistent/keys.gpg")
        #expect(error?.code == .badInput)
    }

    @Test func aPathOutOfTheArchiveIsRefused() throws {
        let archive = try archive {
            $0.suites["moss"] = [
                TinyArchive.package("base", "1.0", ["Essential": "yes"]).replacing("pool/", with: "../")
            ]
        }
        #expect(refusal(of: archive)?.message.contains("which is outside the archive") == true)
    }
}
