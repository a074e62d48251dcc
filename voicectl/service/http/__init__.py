"""The gateway's HTTP side: connections, the Realtime WebSocket, health."""
