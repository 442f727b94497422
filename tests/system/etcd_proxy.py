# SPDX-License-Identifier: Apache-2.0
"""A bad way to a member of etcd: answers get lost, requests come late, connections end where one was kept open."""
import random
import socket
import threading
import time


def read_head(source, rest):
    """The header of a request or an answer and what came behind it; None when the peer left before."""
    while b'\r\n\r\n' not in rest:
        piece = source.recv(65536)
        if not piece:
            return None
        rest += piece
    head, _, rest = rest.partition(b'\r\n\r\n')
    return head + b'\r\n\r\n', rest


def read_message(source, rest):
    found = read_head(source, rest)
    if found is None:
        return None
    head, rest = found
    length = next((int(line.split(b':')[1]) for line in head.lower().split(b'\r\n')
                   if line.startswith(b'content-length:')), 0)
    while len(rest) < length:
        piece = source.recv(65536)
        if not piece:
            return None
        rest += piece
    return head + rest[:length], rest[length:]


class Proxy:
    """Passes requests on to the member at port and does with some of the transactions what `faults` says."""

    def __init__(self, port, seed, share=0.15):
        self.target, self.random, self.share = port, random.Random(seed), share
        self.counts = {'lose': 0, 'late': 0, 'drop': 0}
        self.late = []
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.url = f'http://127.0.0.1:{self.listener.getsockname()[1]}'
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        try:
            with client, socket.create_connection(('127.0.0.1', self.target)) as member:
                rest, answers = b'', b''
                while True:
                    found = read_message(client, rest)
                    if found is None:
                        return
                    message, rest = found
                    if message.startswith(b'POST /v3/watch'):
                        self.pass_watch(client, member, message)
                        return
                    fault = self.fault(message)
                    if fault == 'late':
                        thread = threading.Thread(target=self.deliver_late, args=(message,))
                        thread.start()
                        self.late.append(thread)
                    if fault in ('late', 'drop'):
                        return
                    member.sendall(message)
                    answer, answers = read_message(member, answers)
                    if fault == 'lose':
                        return
                    client.sendall(answer)
        except (OSError, TypeError):
            return

    def fault(self, message):
        if not message.startswith(b'POST /v3/kv/txn') or self.random.random() > self.share:
            return None
        fault = self.random.choice(list(self.counts))
        self.counts[fault] += 1
        return fault

    def deliver_late(self, message):
        """As a member that stood still does."""
        time.sleep(self.random.uniform(0, 0.4))
        with socket.create_connection(('127.0.0.1', self.target)) as member:
            member.sendall(message)
            read_message(member, b'')

    @staticmethod
    def pass_watch(client, member, message):
        member.sendall(message)

        def back():
            try:
                while piece := member.recv(65536):
                    client.sendall(piece)
            except OSError:
                pass
            client.close()
        thread = threading.Thread(target=back, daemon=True)
        thread.start()
        while client.recv(65536):
            continue
        member.shutdown(socket.SHUT_RDWR)

    def close(self):
        self.listener.close()
        for thread in self.late:
            thread.join()
