%% A gen_server on one node, and its caller on another: what the peers in Python do, in Erlang.
-module(erlang_nodes).
-behaviour(gen_server).
-export([server/0, client/1, init/1, handle_call/3, handle_cast/2]).

%% The node of the server: it says when it can be called.
server() ->
    {ok, _} = gen_server:start({local, store}, ?MODULE, session(), []),
    io:format("ready~n").

%% The node of the caller: as many calls as each line says, and how many seconds each took.
client([Server]) ->
    Store = {store, Server},
    Session = session(),
    Id = maps:get(id, Session),
    {ok, Session} = gen_server:call(Store, {get_session, Id}),
    io:format("ready~n"),
    answer(Store, Id).

answer(Store, Id) ->
    case io:get_line("") of
        eof -> halt();
        Line ->
            {Count, _} = string:to_integer(Line),
            Samples = [timed(Store, Id) || _ <- lists:seq(1, Count)],
            io:format("[~s]~n", [lists:join(",", Samples)]),
            answer(Store, Id)
    end.

timed(Store, Id) ->
    Began = erlang:monotonic_time(nanosecond),
    {ok, _} = gen_server:call(Store, {get_session, Id}),
    float_to_list((erlang:monotonic_time(nanosecond) - Began) / 1.0e9, [{decimals, 9}]).

init(Session) -> {ok, #{maps:get(id, Session) => Session}}.

handle_call({get_session, Id}, _From, Sessions) -> {reply, maps:find(Id, Sessions), Sessions}.

handle_cast(_, Sessions) -> {noreply, Sessions}.

%% The session that the others carry.
session() ->
    #{id => <<"ses_00112233445566778899aabbccddeeff">>,
      agent_id => <<"my-agent">>,
      status => <<"active">>,
      parent_session_id => nil,
      metadata => #{<<"title">> => <<"a conversation">>, <<"turns">> => 3},
      context => #{<<"cwd">> => <<"/srv/agent">>, <<"model">> => <<"large">>},
      tags => [<<"bench">>, <<"example">>],
      created_at => {1767225600, 123456},
      updated_at => {1767225600, 123456},
      deleted_at => nil}.
