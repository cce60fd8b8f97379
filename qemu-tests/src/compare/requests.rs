//! What both engines are asked, in this order. `NAME | METHOD path | body`, the body in JSON. `{exec}` is the id that the last
//! request of the name `exec create` answered, `{busybox}` as a body is the archive of a small root file system. A name that
//! begins with `-` is not compared. Everything is made under fixed names, so that answers can be laid side by side.
pub(super) const REQUESTS: &str = r#"
ping | GET /_ping |
version | GET /version |
info | GET /info |
page not found | GET /nothing |
version too new | GET /v1.99/version |
version too old | GET /v1.2/version |
image import | POST /images/create?fromSrc=-&repo=busybox&tag=latest&changes=CMD%20%5B%22sh%22%5D&message=imported | {busybox}
image list | GET /images/json |
image inspect | GET /images/busybox/json |
image history | GET /images/busybox/history |
image missing | GET /images/nothing/json |
image tag | POST /images/busybox/tag?repo=other&tag=1 |
image tag bad | POST /images/busybox/tag?repo=Bad |
image untag | DELETE /images/other:1 |
image remove missing | DELETE /images/nothing |
image search filters | GET /images/json?filters={"nonsense":["1"]} |
create without image | POST /containers/create | {}
create missing image | POST /containers/create | {"Image":"nothing"}
create bad name | POST /containers/create?name=.. | {"Image":"busybox"}
create bad json | POST /containers/create | {"Image":
create little memory | POST /containers/create | {"Image":"busybox","HostConfig":{"Memory":1000}}
create swap | POST /containers/create | {"Image":"busybox","HostConfig":{"Memory":10000000,"MemorySwap":1000}}
create cpus | POST /containers/create | {"Image":"busybox","HostConfig":{"NanoCpus":999000000000}}
create cpu twice | POST /containers/create | {"Image":"busybox","HostConfig":{"NanoCpus":1000000000,"CpuQuota":5000}}
create restart policy | POST /containers/create | {"Image":"busybox","HostConfig":{"RestartPolicy":{"Name":"sometimes"}}}
create restart and remove | POST /containers/create | {"Image":"busybox","HostConfig":{"AutoRemove":true,"RestartPolicy":{"Name":"always"}}}
create bad bind | POST /containers/create | {"Image":"busybox","HostConfig":{"Binds":["x:y:z:w"]}}
create relative bind | POST /containers/create | {"Image":"busybox","HostConfig":{"Binds":["/tmp:relative"]}}
create duplicate mount | POST /containers/create | {"Image":"busybox","HostConfig":{"Binds":["/tmp:/a","/tmp:/a"]}}
create bad mount type | POST /containers/create | {"Image":"busybox","HostConfig":{"Mounts":[{"Type":"odd","Target":"/a"}]}}
create bad port | POST /containers/create | {"Image":"busybox","HostConfig":{"PortBindings":{"x/tcp":[{"HostPort":"1"}]}}}
create bad log driver | POST /containers/create | {"Image":"busybox","HostConfig":{"LogConfig":{"Type":"odd"}}}
create bad ipc | POST /containers/create | {"Image":"busybox","HostConfig":{"IpcMode":"odd"}}
create bad health | POST /containers/create | {"Image":"busybox","Healthcheck":{"Test":["CMD","x"],"Interval":1}}
create bad signal | POST /containers/create | {"Image":"busybox","StopSignal":"SIGNOTHING"}
create workdir | POST /containers/create | {"Image":"busybox","WorkingDir":"relative"}
create | POST /containers/create?name=one | {"Image":"busybox","Cmd":["sh","-c","echo out; echo err >&2; exec sleep 300"],"Env":["A=b"],"Labels":{"k":"v"},"ExposedPorts":{"80/tcp":{}},"HostConfig":{"Memory":67108864,"PidsLimit":100,"CapAdd":["NET_ADMIN"],"PortBindings":{"80/tcp":[{"HostIp":"127.0.0.1","HostPort":"18123"}]},"Binds":["named:/data"],"Tmpfs":{"/scratch":"size=1m"},"RestartPolicy":{"Name":"on-failure","MaximumRetryCount":2},"LogConfig":{"Type":"json-file"},"ExtraHosts":["there:192.0.2.1"],"Dns":["192.0.2.53"]}}
create again | POST /containers/create?name=one | {"Image":"busybox"}
inspect created | GET /containers/one/json |
stats created | GET /containers/one/stats?stream=0&one-shot=1 |
top created | GET /containers/one/top |
kill created | POST /containers/one/kill |
pause created | POST /containers/one/pause |
exec on created | POST /containers/one/exec | {"Cmd":["true"]}
resize created | POST /containers/one/resize?h=1&w=1 |
start | POST /containers/one/start |
start again | POST /containers/one/start |
inspect running | GET /containers/one/json?size=1 |
list | GET /containers/json?size=1 |
list bad filter | GET /containers/json?filters={"odd":["1"]} |
top | GET /containers/one/top |
top bad | GET /containers/one/top?ps_args=-Z9 |
stats | GET /containers/one/stats?stream=0&one-shot=1 |
logs nothing wanted | GET /containers/one/logs |
logs | GET /containers/one/logs?stdout=1 |
changes | GET /containers/one/changes |
exec empty | POST /containers/one/exec | {"Cmd":[]}
exec create | POST /containers/one/exec | {"AttachStdout":true,"Cmd":["sh","-c","exit 3"],"Env":["X=y"],"WorkingDir":"/tmp","User":"0"}
exec inspect before | GET /exec/{exec}/json |
-exec start | POST /exec/{exec}/start | {"Detach":false,"Tty":false}
exec inspect after | GET /exec/{exec}/json |
exec missing | GET /exec/nothing/json |
exec start missing | POST /exec/nothing/start | {}
rename | POST /containers/one/rename?name=uno |
rename empty | POST /containers/uno/rename?name= |
rename missing | POST /containers/nothing/rename?name=x |
update | POST /containers/uno/update | {"Memory":134217728,"MemorySwap":134217728}
update bad | POST /containers/uno/update | {"Memory":1000}
pause | POST /containers/uno/pause |
inspect paused | GET /containers/uno/json |
pause again | POST /containers/uno/pause |
exec on paused | POST /containers/uno/exec | {"Cmd":["true"]}
unpause | POST /containers/uno/unpause |
archive missing | GET /containers/uno/archive?path=/nothing |
archive no path | GET /containers/uno/archive |
commit | POST /commit?container=uno&repo=made&tag=1&author=me&comment=why&changes=ENV%20B%3Dc | {}
image inspect committed | GET /images/made:1/json |
commit missing | POST /commit?container=nothing | {}
image in use | DELETE /images/busybox |
volume list | GET /volumes |
volume inspect | GET /volumes/named |
volume create | POST /volumes/create | {"Name":"second","Labels":{"a":"b"}}
volume missing | GET /volumes/nothing |
volume in use | DELETE /volumes/named |
network inspect | GET /networks/bridge |
network missing | GET /networks/nothing |
network create | POST /networks/create | {"Name":"net1","Labels":{"x":"y"}}
network create again | POST /networks/create | {"Name":"net1"}
df | GET /system/df |
remove running | DELETE /containers/uno |
stop | POST /containers/uno/stop?t=0 |
stop again | POST /containers/uno/stop |
wait stopped | POST /containers/uno/wait |
wait bad | POST /containers/uno/wait?condition=odd |
inspect stopped | GET /containers/uno/json |
list all | GET /containers/json?all=1 |
kill stopped | POST /containers/uno/kill |
kill bad signal | POST /containers/uno/kill?signal=NOTHING |
attach nothing wanted | POST /containers/nothing/attach |
prune | POST /containers/prune |
remove missing | DELETE /containers/nothing |
missing | GET /containers/nothing/json |
prune bad filter | POST /containers/prune?filters={"odd":["1"]} |
create failing | POST /containers/create?name=bad | {"Image":"busybox","Cmd":["nosuch"]}
start failing | POST /containers/bad/start |
inspect failed | GET /containers/bad/json |
remove failed | DELETE /containers/bad |
image prune | POST /images/prune?filters={"dangling":["false"]} |
volume prune | POST /volumes/prune?filters={"all":["true"]} |
network remove | DELETE /networks/net1 |
network prune | POST /networks/prune |
build prune | POST /build/prune |
auth bad | POST /auth | {"serveraddress":"127.0.0.1:1","username":"a","password":"b"}
plugins | GET /plugins |
swarm | GET /swarm |
services | GET /services |
nodes | GET /nodes |
events of nothing | GET /events?since=1&until=2 |
"#;
