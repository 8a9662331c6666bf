"""A headless Chromium, spoken to over two pipes by its DevTools protocol: nothing to install beside it."""

import base64
import json
import os
import select
import subprocess
import time

# Without these, a machine without a way out waits for each of the browser's own look-ups.
COMMAND = """chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run
--disable-background-networking --disable-component-update --disable-sync
--window-size=1500,1200 --remote-debugging-pipe""".split()


class Browser:
    """One browser with one tab."""

    def __init__(self, folder):
        # It reads from its descriptor 3 and writes to its 4.
        (read, self.writer), (self.reader, write) = os.pipe(), os.pipe()
        command = [*COMMAND, f"--user-data-dir={folder}/profile"]
        with open(f"{folder}/browser.log", "wb") as log:
            self.process = subprocess.Popen(
                ["sh", "-c", f'exec "$@" 3<&{read} 4>&{write}', "sh", *command],
                pass_fds=(read, write), stdout=log, stderr=log, start_new_session=True)
        os.close(read)
        os.close(write)
        self.unread, self.last, self.session = b"", 0, None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

    def call(self, method, **params):
        """What the browser answers; its events are passed over."""
        self.last += 1
        message = {"id": self.last, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.writer, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + 60
        while True:
            answer = self.message(deadline)
            if answer.get("id") == self.last:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]

    def message(self, deadline):
        while b"\0" not in self.unread:
            ready, _, _ = select.select([self.reader], [], [], max(0, deadline - time.monotonic()))
            more = os.read(self.reader, 1 << 16) if ready else b""
            if not more:
                raise RuntimeError("the browser does not answer")
            self.unread += more
        message, self.unread = self.unread.split(b"\0", 1)
        return json.loads(message)

    def open(self, page):
        """Within one application, where only the fragment changes, nothing is loaded anew."""
        self.call("Page.navigate", url=page)

    def run(self, script):
        return self.call("Runtime.evaluate", expression=script, returnByValue=True)["result"].get("value")

    def text(self, part):
        """All that parts of the page show, by their selector, white space as single spaces."""
        parts = f"[...document.querySelectorAll({json.dumps(part)})]"
        return " ".join((self.run(f"{parts}.map(part => part.innerText).join(' ')") or "").split())

    def click(self, part, text):
        """Clicks the first thing in a part of the page that says just this."""
        self.run(f"""[...document.querySelectorAll({json.dumps(part + ' *')})].find(
            one => !one.children.length && one.innerText === {json.dumps(text)})?.click()""")

    def screenshot(self, file):
        file.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))

    def close(self):
        self.process.terminate()
        self.process.wait(20)
