"""The places in a VALP at which an operator can act.

A place is a string with named parts, such as the provider and the receiver of a connection. It
equals, prints and pickles as the string does, so callers may write ``"n1->n3"`` instead.

References:
    Paper V (what each operator acts on).
"""

from __future__ import annotations


class Place(str):
    """A place in a VALP by its name: a sub-network, an output or a hyperparameter."""

    __slots__ = ()

    @staticmethod
    def named(name: str) -> Place:
        """Return the place of this name. The form of the name says of which class it is."""
        if isinstance(name, Place):
            return name
        if name.count("->") == 2:
            return Route(*name.split("->"))
        if "->" in name:
            connection = Connection.parse(name)
            one, star, other = connection.provider.partition("*")
            return Join(one, other, connection.receiver) if star else connection
        network, dot, stage = name.partition(".")
        return Stage(network, stage) if dot else Place(name)

    @property
    def component(self) -> str:
        """The name of the first component whose result a change at this place can alter."""
        return str(self)

    @property
    def touched(self) -> tuple[str, ...]:
        """The names of the components that a change at this place concerns."""
        return (self.component,)


class Connection(Place):
    """A connection, ``"provider->receiver"``; also the name of its block in ``VALP.weights``."""

    __slots__ = ("provider", "receiver")
    provider: str
    receiver: str

    def __new__(cls, provider: str, receiver: str) -> Connection:
        self = super().__new__(cls, f"{provider}->{receiver}")
        self.provider, self.receiver = provider, receiver
        return self

    @classmethod
    def parse(cls, name: str) -> Connection:
        """Return the connection that a text names, such as a user or a file gives it.

        Raises:
            ValueError: ``name`` is not two names with an arrow between them.
        """
        provider, arrow, receiver = name.partition("->")
        if not (provider and arrow and receiver):
            raise ValueError(f"a connection is written as 'provider->receiver', got {name!r}")
        return cls(provider, receiver)

    def __getnewargs__(self) -> tuple[str, str]:  # type: ignore[override]
        return self.provider, self.receiver

    @property
    def component(self) -> str:
        """The receiver: it reads something else after the change."""
        return self.receiver

    @property
    def touched(self) -> tuple[str, ...]:
        """The provider and the receiver."""
        return self.provider, self.receiver


class Join(Place):
    """Two providers and a receiver that a sub-network can join, ``"one*other->receiver"``."""

    __slots__ = ("one", "other", "receiver")
    one: str
    other: str
    receiver: str

    def __new__(cls, one: str, other: str, receiver: str) -> Join:
        self = super().__new__(cls, f"{one}*{other}->{receiver}")
        self.one, self.other, self.receiver = one, other, receiver
        return self

    def __getnewargs__(self) -> tuple[str, str, str]:  # type: ignore[override]
        return self.one, self.other, self.receiver

    @property
    def component(self) -> str:
        """The receiver: it reads something else after the change."""
        return self.receiver

    @property
    def touched(self) -> tuple[str, ...]:
        """The two providers and the receiver."""
        return self.one, self.other, self.receiver


class Route(Place):
    """The way from a provider through a sub-network, ``"provider->network->receiver"``."""

    __slots__ = ("network", "provider", "receiver")
    provider: str
    network: str
    receiver: str

    def __new__(cls, provider: str, network: str, receiver: str) -> Route:
        self = super().__new__(cls, f"{provider}->{network}->{receiver}")
        self.provider, self.network, self.receiver = provider, network, receiver
        return self

    def __getnewargs__(self) -> tuple[str, str, str]:  # type: ignore[override]
        return self.provider, self.network, self.receiver

    @property
    def component(self) -> str:
        """The receiver: it reads something else after the change."""
        return self.receiver

    @property
    def touched(self) -> tuple[str, ...]:
        """The provider, the sub-network and the receiver."""
        return self.provider, self.network, self.receiver


class Stage(Place):
    """A stage inside a sub-network, ``"network.stage"``: a layer by its index, or the latent."""

    __slots__ = ("network", "stage")
    network: str
    stage: str

    def __new__(cls, network: str, stage: str) -> Stage:
        self = super().__new__(cls, f"{network}.{stage}")
        self.network, self.stage = network, stage
        return self

    def __getnewargs__(self) -> tuple[str, str]:  # type: ignore[override]
        return self.network, self.stage

    @property
    def component(self) -> str:
        """The sub-network."""
        return self.network
