import Testing

@testable import ForgeCLI

/// What common programs print when something is missing.
@Suite struct LogClueTests {
    @Test(arguments: [
        ("/stage/run: line 3: gcc: command not found", LogClue.program("gcc")),
        ("/stage/run: 3: gcc: not found", .program("gcc")),
        ("/stage/run: line 4: xz: not found", .program("xz")),
        ("env: ‘python3’: No such file or directory", .program("python3")),
        ("env: can't execute 'python3': No such file or directory", .program("python3")),
        ("make: gcc: No such file or directory", .program("gcc")),
        ("make[2]: c++: No such file or directory", .program("c++")),
        ("curl: (6) Could not resolve host: example.org", .network("example.org")),
        ("wget: bad address 'example.org'", .network("example.org")),
        ("wget: unable to resolve host address ‘example.org’", .network("example.org")),
        (
            "fatal: unable to access 'https://a.example/x.git/': Could not resolve host: a.example",
            .network("https://a.example/x.git/")
        ),
        ("Temporary failure resolving; Temporary failure in name resolution", .network(nil)),
    ])
    func lineIsUnderstood(_ line: String, _ clue: LogClue) { #expect(LogClue.find(in: line + "\n") == [clue]) }

    @Test(arguments: [
        ("cat: files/motd: No such file or directory", "files/motd"),
        ("ls: cannot access '/home/a/my file': No such file or directory", "/home/a/my file"),
        ("cp: cannot stat 'x/y': No such file or directory", "x/y"),
        ("/stage/run: line 3: /home/x: No such file or directory", "/home/x"),
        ("/stage/run: 3: cannot open ../x: No such file", "../x"),
        ("/stage/run: line 3: can't open files/x: no such file", "files/x"),
        ("cat: can't open 'files/x': No such file or directory", "files/x"),
        ("src/main.c:1:10: fatal error: config.h: No such file or directory", "config.h"),
        ("gcc: error: src/x.c: No such file or directory", "src/x.c"),
        ("FileNotFoundError: [Errno 2] No such file or directory: 'data.csv'", "data.csv"),
        ("python3: can't open file '/work/x.py': [Errno 2] No such file or directory", "/work/x.py"),
        ("make: *** No rule to make target 'src/a.c', needed by 'a.o'.  Stop.", "src/a.c"),
        ("tar: x.tar: Cannot open: No such file or directory", "x.tar"),
        ("Can't open perl script \"tool.pl\": No such file or directory", "tool.pl"),
        ("Error: ENOENT: no such file or directory, open '/srv/x.json'", "/srv/x.json"),
        ("/stage/run: 3: ./configure: not found", "./configure"),
    ])
    func pathIsFound(_ line: String, _ path: String) {
        guard case .path(let found)? = LogClue.find(in: line).first else {
            Issue.record("no clue in \(line)")
            return
        }
        #expect(found.contains(path), "\(found)")
    }

    @Test func theLastLineCountsMost() {
        let log = "a: x/y: No such file or directory\nok\n/stage/run: line 3: gcc: command not found\ndone\n"
        #expect(LogClue.find(in: log).first == .program("gcc") && LogClue.find(in: log).count == 2)
    }

    @Test(arguments: ["all well", "3 files not copied", "error: 2", ": not found", "it is not founded"])
    func whatSaysNothingSaysNothing(_ line: String) {
        for clue in LogClue.find(in: line) {
            guard case .path = clue else {
                Issue.record("\(clue)")
                continue
            }
        }
    }
}
