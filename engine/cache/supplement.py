"""What a general dictionary of English does not say: word lists of our own for ``engine.cache.lexicon``.

Tables only, no decisions. One group a line. A word in `SAME` may stand for its neighbours in a question; a pair in
`OPPOSED` turns a question round; of the words in one line of `NAMES` none ever stands for another.
"""

from __future__ import annotations

from typing import Final

SAME: Final = """
get obtain acquire receive gain grab fetch retrieve
get become grow
find locate discover
search look lookup
create make build construct produce generate
create write develop compose author
write draft compose
design devise plan
show display present
show demonstrate illustrate
print output display
return give yield provide
give provide supply offer
start begin commence launch initiate
finish complete end conclude
stop end cease quit halt terminate
remove delete erase eliminate drop
cancel abort
change modify alter adjust edit
change switch
fix repair resolve correct solve mend
help assist aid support
need require want
want wish desire
use utilize utilise employ apply
buy purchase
choose select pick opt
explain describe clarify elaborate
define describe
tell inform
check verify examine inspect
check test
calculate compute determine evaluate
count tally
learn study
improve enhance boost better
earn make
increase raise boost grow
decrease reduce lower lessen diminish cut
keep retain maintain preserve
allow permit let enable
block prevent
prevent avoid stop
happen occur
try attempt
ask inquire enquire request
answer reply respond
answer response reply
talk speak chat
think believe consider feel thought
thought opinion view
know tell
know understand
suggest recommend propose advise
suggestion recommendation advice tip
reserve book
schedule arrange
arrange organize organise order
combine merge join
split divide separate
connect link join attach
convert transform translate turn change
transfer move send
send transmit
gather collect
save store keep
contact reach
visit see
see view watch
live reside stay
travel journey go trip
fly flight
lose drop shed
install setup
set configure
configure setup
launch open start
execute run
implement write create
implement realize
iterate loop
sort order rank arrange
contain include hold
insert add put place
append add
replace substitute swap
update refresh
download get
purchase acquire
hire employ recruit
fire dismiss
cost price charge
difference distinction dissimilarity
differ vary
similar alike
similarity resemblance
way method approach technique means manner process procedure
method function
tip trick hint
step stage
reason cause
cause lead produce trigger
effect impact consequence result influence
affect impact influence
benefit advantage pro upside
disadvantage drawback downside con
advantage plus
problem issue trouble difficulty
error mistake bug fault
job occupation profession work career
employee worker staff
boss manager
company business firm corporation
kid child youngster
baby infant
person individual human
people persons humans folks individuals
man guy
woman lady women
man men
girlfriend gf
boyfriend bf
mom mother mum mommy
dad father daddy
grandma grandmother
grandpa grandfather
movie film flick
movie motion
picture image photo photograph pic
song track
tv television
phone telephone cellphone mobile
phone smartphone
car automobile vehicle auto
bike bicycle
plane airplane aircraft
road street
house home
apartment flat
store shop
city town
country nation
place location spot
area region
doctor physician
medicine medication drug
illness disease sickness
ill sick unwell
ache pain
pain hurt
sore painful
stomach belly tummy abdomen
pregnant pregnancy
food meal
meal dish
money cash
salary wage pay income
loan credit
college university
school college
exam examination test
student pupil
teacher instructor
subject topic
book novel
big large huge
large great
small little tiny
fast quick rapid speedy
quickly fast rapidly swiftly speedily
slowly gradually
easy simple straightforward
easily simply
easiest simplest
hard difficult tough challenging
important crucial essential vital significant key
main primary principal major chief
best top greatest finest
best ideal optimal perfect
good great nice excellent decent
bad poor
worst poorest
smart clever intelligent
pretty beautiful attractive
happy glad
sad unhappy
angry mad furious
weird strange odd
scared afraid
rich wealthy
cheap inexpensive affordable
expensive costly
free gratis
famous popular
common frequent usual
normal usual typical
usually generally normally typically
often frequently
sometimes occasionally
maybe perhaps possibly
probably likely
really truly actually
currently presently now
soon shortly
whole entire
whole complete full
total sum overall
near close nearby
approximately about around roughly
enough sufficient
right correct proper
wrong incorrect
correct accurate
true real
fake false counterfeit
safe secure
dangerous unsafe hazardous risky
necessary required needed
necessary compulsory mandatory
possible feasible
available accessible
different various
distinct unique
new recent
newest latest
latest recent
old aged
given provided supplied specified
specific particular certain
parameter argument input
string text
list array
list enumerate
dictionary dict map hash
integer int number
number count amount quantity
maximum highest largest greatest biggest max
minimum lowest smallest least min
biggest largest
average mean
element item entry
row record
field column
directory folder
app application
program application software script
code program snippet script
algorithm procedure
website site webpage
webpage page
photo image
document doc
info information details
information data
database db
repo repository
config configuration settings
setting preference option
environment env
account profile
password passcode
login signin log
computer pc
laptop notebook
internet web net
online internet
email mail
message text
message msg
question query
meaning definition sense
significance importance
example instance sample
rule regulation
law legislation
goal aim objective purpose target
plan strategy
idea concept notion
opinion view thought
feature characteristic property attribute
part component piece portion
kind type sort
symbol sign
symptom sign
amount quantity
percentage percent
size dimension
length duration
weight mass
weather forecast
holiday vacation
trip journey
gift present
restaurant diner
reservation booking
appointment meeting
alarm alert
list itemize
bill invoice
balance funds
statement summary
summary overview
summarize summarise condense
rewrite rephrase reword paraphrase
shorten abbreviate
translate interpret
war conflict
president leader
election vote
usa america american states
uk britain england english british
js javascript
py python
ts typescript
postgres postgresql
k8s kubernetes
ml machine
2fa mfa
begin initiate
evil wicked
pal friend buddy mate
trash garbage rubbish
autumn fall
soccer football
gasoline petrol gas
color colour
rid rid
""".strip()

OPPOSED: Final = """
enable/disable activate/deactivate encrypt/decrypt encode/decode upload/download import/export install/uninstall
increase/decrease increase/reduce increase/lower raise/lower raise/reduce grow/shrink expand/contract expand/shrink
gain/lose boost/reduce before/after with/without ascending/descending asc/desc min/max minimum/maximum
minimize/maximize minimise/maximise first/last earliest/latest oldest/newest old/new best/worst better/worse
good/bad most/least more/less more/fewer many/few highest/lowest higher/lower high/low largest/smallest
biggest/smallest larger/smaller bigger/smaller big/small large/small big/little longest/shortest long/short tall/short
fastest/slowest fast/slow quick/slow quickly/slowly cheapest/dearest cheap/expensive hardest/easiest hard/easy
hard/soft difficult/easy strong/weak strengthen/weaken rich/poor hot/cold warm/cool heat/cool heating/cooling happy/sad glad/sad loud/quiet loud/silent noisy/quiet
wet/dry light/dark light/heavy bright/dim full/empty fill/empty open/close open/closed opened/closed lock/unlock
locked/unlocked start/stop start/end start/finish begin/end begin/stop begin/finish add/remove add/subtract
add/delete insert/delete insert/remove create/delete create/destroy build/destroy attach/detach connect/disconnect
mount/unmount mute/unmute subscribe/unsubscribe follow/unfollow pin/unpin hide/show hidden/visible visible/invisible
buy/sell buy/rent purchase/sell bought/sold lend/borrow deposit/withdraw debit/credit give/take give/receive
send/receive push/pull pull/push commit/revert win/lose accept/reject accept/decline accept/refuse approve/reject
approve/deny allow/deny allow/forbid allow/block allow/prevent permit/forbid grant/revoke pass/fail succeed/fail
success/failure true/false right/wrong right/left correct/incorrect positive/negative advantage/disadvantage
pro/con pros/cons benefit/drawback benefit/risk strength/weakness profit/loss asset/liability income/expense
lossless/lossy legal/illegal male/female man/woman men/women boy/girl boys/girls husband/wife boyfriend/girlfriend
mother/father mom/dad brother/sister son/daughter king/queen uncle/aunt north/south east/west northern/southern
eastern/western up/down upper/lower top/bottom above/below over/under inside/outside in/out indoor/outdoor
indoors/outdoors internal/external interior/exterior inner/outer inbound/outbound incoming/outgoing input/output
read/write load/save load/unload save/discard undo/redo forward/backward forwards/backwards next/previous
front/back front/rear backend/frontend client/server public/private online/offline on/off always/never often/rarely
often/seldom frequently/rarely all/none everyone/nobody everybody/nobody everything/nothing somebody/nobody
anyone/nobody include/exclude including/excluding inclusive/exclusive same/different similar/different like/unlike
like/dislike like/hate love/hate friend/enemy agree/disagree arrive/depart arrival/departure arrive/leave
enter/exit enter/leave entrance/exit join/leave come/go early/late earlier/later ancient/modern past/future
yesterday/tomorrow today/tomorrow today/yesterday day/night morning/evening morning/night morning/afternoon am/pm
summer/winter spring/autumn sunrise/sunset import/export vertical/horizontal row/column horizontally/vertically
parallel/serial synchronous/asynchronous sync/async static/dynamic mutable/immutable odd/even prime/composite
integer/float numerator/denominator multiply/divide multiplication/division addition/subtraction plus/minus
square/root compress/decompress compress/extract zip/unzip pack/unpack serialize/deserialize marshal/unmarshal
parse/format merge/split join/split combine/separate sort/shuffle union/intersection head/tail prefix/suffix
uppercase/lowercase upper/lower left/right leading/trailing source/destination source/target sender/receiver
sender/recipient buyer/seller lender/borrower employer/employee teacher/student doctor/patient landlord/tenant
parent/child master/slave ancestor/descendant upgrade/downgrade promote/demote hire/fire employ/dismiss freeze/thaw
freeze/melt melt/solidify boil/freeze inhale/exhale sleep/wake asleep/awake live/die alive/dead life/death
birth/death born/died cause/prevent cause/cure cause/treat prevent/cure acute/chronic benign/malignant hyper/hypo
hypertension/hypotension hyperthyroidism/hypothyroidism hyperglycemia/hypoglycemia systolic/diastolic diarrhea/constipation
cancel/renew cancel/book cancel/confirm cancel/schedule renew/expire extend/shorten lengthen/shorten thicken/thin
thick/thin wide/narrow deep/shallow tighten/loosen tight/loose rough/smooth sharp/blunt clean/dirty
clear/cloudy sunny/rainy optimist/pessimist introvert/extrovert passive/active active/inactive sender/addressee
voluntary/involuntary mandatory/optional required/optional permanent/temporary absolute/relative maximum/least
local/remote domestic/foreign domestic/international national/international global/local rural/urban single/married
single/multiple single/double simple/complex singular/plural present/absent attend/miss gross/net wholesale/retail
supply/demand import/ship theory/practice liberal/conservative democrat/republican democrats/republicans
capitalism/communism hardware/software analog/digital wired/wireless manual/automatic manually/automatically
remember/forget memorize/forget learn/forget find/lose hide/reveal teach/learn ask/answer question/answer
float/sink rise/fall ascend/descend climb/descend accelerate/decelerate speed/slow tighten/relax
stand/sit hungry/full thirsty/sated heaven/hell war/peace virtue/vice truth/lie friendly/hostile safe/dangerous
healthy/unhealthy natural/artificial real/fake real/imaginary genuine/counterfeit guilty/innocent major/minor
majority/minority expert/beginner beginner/advanced junior/senior freshman/senior undergraduate/graduate
least/most shallow/deep nearest/farthest nearest/furthest closest/farthest near/far youngest/oldest younger/older
young/old older/newer underweight/overweight underrated/overrated overestimate/underestimate prepaid/postpaid
vegetarian/carnivore sweet/sour sweet/bitter raw/cooked black/white ingress/egress inflow/outflow bullish/bearish
bull/bear long/brief enlarge/reduce zoom/shrink whitelist/blacklist allowlist/denylist opt-in/opt-out
backup/restore lowest/greatest fewer/greater less/greater least/greatest stronger/weaker hotter/colder
warmer/cooler heavier/lighter harder/easier faster/slower longer/shorter taller/shorter richer/poorer
brighter/darker thicker/thinner wider/narrower deeper/shallower cheaper/dearer cleaner/dirtier safer/riskier
""".strip()

NAMES: Final = {
    "programming": "python java javascript typescript ruby php perl rust go golang kotlin swift scala haskell erlang "
    "elixir clojure fortran cobol matlab julia lua dart c c++ c# f# r bash powershell html css sql pascal lisp "
    "prolog scheme groovy delphi assembly ocaml zig solidity vba",
    "database": "mysql postgresql sqlite mongodb redis cassandra oracle mariadb dynamodb neo4j elasticsearch couchdb "
    "influxdb snowflake bigquery redshift clickhouse memcached qdrant pinecone milvus",
    "framework": "django flask fastapi rails laravel react angular vue svelte nextjs node nodejs express spring "
    "hibernate jquery bootstrap tensorflow pytorch keras pandas numpy polars spark hadoop kafka rabbitmq",
    "system": "windows linux macos ubuntu debian fedora centos android ios iphone ipad chromeos unix freebsd macbook",
    "company": "google microsoft apple amazon facebook meta twitter netflix uber lyft airbnb tesla ibm intel amd nvidia "
    "samsung huawei xiaomi sony nokia motorola lenovo dell hp asus toyota honda ford bmw audi mercedes nissan "
    "hyundai volkswagen walmart target costco starbucks mcdonalds nike adidas paypal visa mastercard amex stripe "
    "venmo spotify youtube instagram whatsapp snapchat tiktok linkedin quora reddit pinterest telegram skype zoom "
    "slack dropbox ebay alibaba flipkart infosys tcs wipro accenture cognizant deloitte yahoo bing boeing airbus "
    "verizon comcast chase citibank barclays hsbc pfizer moderna openai anthropic gmail outlook hotmail tinder "
    "wordpress shopify wix magento github gitlab bitbucket jira trello notion asana oneplus vodafone airtel jio",
    "cloud": "aws azure gcp heroku vercel netlify digitalocean cloudflare",
    "tool": "docker podman kubernetes jenkins terraform ansible git svn npm yarn pnpm pip conda poetry maven gradle "
    "webpack vite eslint vim emacs vscode pycharm intellij eclipse excel word powerpoint photoshop illustrator",
    "currency": "dollar euro pound yen rupee yuan peso franc ruble won real rand krona lira usd eur gbp jpy inr cny chf aud cad mxn brl krw bitcoin ethereum dogecoin",
    "format": "json xml yaml csv pdf html markdown toml docx xlsx png jpg jpeg gif svg mp3 mp4 wav avi mkv parquet avro "
    "protobuf txt epub",
    "weekday": "monday tuesday wednesday thursday friday saturday sunday",
    "month": "january february march april may june july august september october november december",
    "colour": "red green blue yellow orange purple pink brown black white grey gray violet indigo turquoise",
    "place": "india china japan usa america uk britain england scotland ireland wales germany france italy spain portugal "
    "canada australia brazil mexico russia ukraine poland turkey greece egypt israel iran iraq pakistan bangladesh "
    "nepal korea vietnam thailand indonesia malaysia singapore philippines nigeria kenya ghana argentina chile "
    "sweden norway denmark finland netherlands holland belgium switzerland austria hungary mumbai delhi bangalore "
    "hyderabad chennai pune kolkata london paris berlin tokyo beijing shanghai sydney melbourne toronto vancouver "
    "chicago boston dallas houston seattle denver miami atlanta phoenix austin california texas florida europe asia "
    "africa dubai qatar",
    "protocol": "http https ftp sftp ssh smtp imap tcp udp grpc graphql rest soap websocket mqtt amqp ipv4 ipv6",
    "meal": "breakfast lunch dinner brunch supper",
    "relative": "mother father brother sister son daughter uncle aunt cousin nephew niece husband wife grandmother "
    "grandfather",
    "exam": "gre gmat sat act toefl ielts upsc gate cat jee neet mcat lsat ssc",
    "degree": "bachelor master phd mba bsc msc btech mtech mbbs bcom bca mca",
    "instrument": "guitar piano violin drums flute cello trumpet saxophone ukulele",
    "side": "left right",
    "planet": "mercury venus mars jupiter saturn uranus neptune pluto",
}

EVERYDAY: Final = frozenset({"colour", "side", "meal", "relative", "instrument", "degree"})
"""Lines of `NAMES` whose words are no proper names."""
AMBIGUOUS: Final = frozenset(
    "word excel target ford express spring oracle rest soap notion zoom slack node go rust c r act sat gate cat won real "
    "march may mercury windows apple meta chase swift dart julia assembly visa eclipse scheme phoenix "
    "pascal conda poetry spark turkey rand pounds pound stripe".split()
)
"""Names that are everyday words as well: a name only beside another name of their line."""
